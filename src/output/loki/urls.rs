//! The URLs of Loki.

/// The path to which events are pushed, behind the base URL.
pub(super) const PUSH: &str = "/loki/api/v1/push";

/// The base URL and the push URL of an endpoint, which may be given as either.
pub(super) fn urls(endpoint: &str) -> (String, String) {
    let (path, query) =
        endpoint.split_once('?').map_or((endpoint, ""), |(path, query)| (path, query));
    let path = path.trim_end_matches('/');
    let base = path.strip_suffix(PUSH).unwrap_or(path).to_owned();
    let push = format!("{base}{PUSH}{}{query}", if query.is_empty() { "" } else { "?" });
    (base, push)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_a_prefix_and_a_push_url_are_understood() {
        let table = [
            ("http://l:3100", "http://l:3100", "http://l:3100/loki/api/v1/push"),
            ("http://l:3100/", "http://l:3100", "http://l:3100/loki/api/v1/push"),
            ("https://g/logs", "https://g/logs", "https://g/logs/loki/api/v1/push"),
            (
                "http://v/insert/loki/api/v1/push?_x=1",
                "http://v/insert",
                "http://v/insert/loki/api/v1/push?_x=1",
            ),
        ];
        for (endpoint, base, push) in table {
            assert_eq!(urls(endpoint), (base.to_owned(), push.to_owned()));
        }
    }
}
