//! Recognises answers that do not come from the store (a proxy, a sign-in page, a TLS port, another service), and says
//! what to do about them.
//!
//! Each output knows the answers of its store. All other answers are handled here. They never count as delivered and
//! never refuse an event: the output stops, and shows the beginning of the answer and the most likely cause.

use super::http::{Response, excerpt, shown_url};

/// What servers answer if a client speaks plain HTTP to a TLS port: Go, nginx, Apache, Tomcat and Jetty.
const WANTS_TLS: [&str; 5] = [
    "HTTP request to an HTTPS server",
    "plain HTTP request was sent to HTTPS port",
    "speaking plain HTTP to an SSL-enabled server port",
    "combination of host and port requires TLS",
    "Upgrade Required",
];

/// The status and the beginning of the answer, on one line.
pub(super) fn shown(response: &Response) -> String {
    let said = excerpt(&response.body);
    format!("{} {said}", response.status).trim_end().to_owned()
}

/// Whether the body looks like a web page. No store answers an API client with one.
pub(super) fn is_page(response: &Response) -> bool {
    let start = response.body.trim_ascii_start();
    start.starts_with(b"<") || (!response.content_type.is_empty() && response.may_be("text/html"))
}

/// Whether the server says that the client should use TLS.
pub(super) fn wants_tls(response: &Response) -> bool {
    let says = |what: &&str| memchr::memmem::find(&response.body, what.as_bytes()).is_some();
    response.status == 426 || (response.status >= 400 && WANTS_TLS.iter().any(says))
}

/// The hint for an answer that does not come from `store`. `path` is what the agent appends to the endpoint.
pub(super) fn way_out(response: &Response, store: &str, path: &str) -> String {
    if wants_tls(response) {
        return "the server speaks HTTPS there: write https:// in the endpoint".to_owned();
    }
    match response.status {
        200..=299 => format!(
            "this is no answer of {store}: a sign-in page, a proxy or another service answers there; check the endpoint"
        ),
        300..=399 => match response.location.as_deref().map(|to| base(to, path)) {
            Some(to) => format!(
                "the endpoint redirects to {to}, and redirects are not followed: if that is {store}, name it as the endpoint"
            ),
            None => "the endpoint redirects, and redirects are not followed: name the final URL"
                .to_owned(),
        },
        401 => format!(
            "something in front of {store} does not know these credentials: check basic_auth, bearer_token_file or api_key_file"
        ),
        403 => format!(
            "a firewall or proxy in front of {store} turned the request away: let the agent through there, or check the credentials"
        ),
        404 | 405 => format!(
            "{store} is not at this URL: check host and path of the endpoint (`{path}` is added to it), and the route of the proxy in front"
        ),
        407 => "the proxy wants credentials, which this version does not send: let the agent through there without them, or name another `proxy`"
            .to_owned(),
        413 => format!(
            "a proxy in front of {store} takes no body of this size: raise its limit (nginx: client_max_body_size), or lower `max_event_bytes`"
        ),
        _ => format!(
            "this is no answer of {store}: something between here and {store} answers; check the endpoint and what stands in front of it"
        ),
    }
}

/// The endpoint that belongs to the target URL of a redirect.
fn base(to: &str, path: &str) -> String {
    // A path without a host refers to the host that answered.
    let shown = if to.starts_with('/') {
        excerpt(to.as_bytes())
    } else {
        excerpt(shown_url(to).as_bytes())
    };
    shown.strip_suffix(path).unwrap_or(&shown).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: u16, body: &'static str, location: Option<&str>) -> Response {
        let location = location.map(str::to_owned);
        Response { status, location, body: body.into(), ..Response::default() }
    }

    #[test]
    fn the_way_out_names_https_the_redirect_the_path_or_the_proxy() {
        let push = "/loki/api/v1/push";
        let table = [
            (400, "Client sent an HTTP request to an HTTPS server.\n", None, "https://"),
            (
                400,
                "<title>400 The plain HTTP request was sent to HTTPS port</title>",
                None,
                "https://",
            ),
            (426, "", None, "https://"),
            (
                308,
                "",
                Some("https://u:pw@logs.example.org/x/loki/api/v1/push?a=b"),
                " https://logs.example.org/x,",
            ),
            (302, "", Some("/login"), " /login,"),
            (301, "", None, "redirects"),
            (404, "404 page not found\n", None, "/loki/api/v1/push"),
            (403, "<html>blocked", None, "firewall"),
            (407, "", None, "`proxy`"),
            (413, "<html>", None, "client_max_body_size"),
            (200, "<html>Sign in", None, "no answer of Loki"),
        ];
        for (status, body, location, expected) in table {
            let hint = way_out(&response(status, body, location), "Loki", push);
            assert!(hint.contains(expected) && !hint.contains("pw"), "{status} {body}: {hint}");
        }
    }
}
