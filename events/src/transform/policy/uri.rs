//! Finds the resource that a request URI names, as kube-apiserver does.
//!
//! Follows `pkg/endpoints/request/requestinfo.go` of k8s.io/apiserver step by step, with the prefixes of
//! kube-apiserver: `api`, which has no group, and `apis`. The verb is already known.

use std::borrow::Cow;

use super::selector::{self, digit};

/// Text as the server compares it: bytes, because a decoded path need not be UTF-8.
pub(in crate::transform) type Text<'a> = Cow<'a, [u8]>;

/// The attributes of a request for a resource that rules match.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(in crate::transform) struct RequestTarget<'a> {
    pub(in crate::transform) group: Text<'a>,
    pub(in crate::transform) resource: Text<'a>,
    pub(in crate::transform) subresource: Text<'a>,
    pub(in crate::transform) namespace: Text<'a>,
    pub(in crate::transform) name: Text<'a>,
}

/// Maximum number of segments that are read; more than this file ever looks at.
const SEGMENTS: usize = 10;

/// The resource that a decoded path names; `None` if it names none. `query` is the text after the `?`.
pub(super) fn target<'a>(path: &'a [u8], verb: &[u8], query: &[u8]) -> Option<RequestTarget<'a>> {
    let mut segments: [&'a [u8]; SEGMENTS] = [b""; SEGMENTS];
    let mut count = 0;
    for (slot, segment) in segments.iter_mut().zip(trim(path).split(|byte| *byte == b'/')) {
        *slot = segment;
        count += 1;
    }
    let mut parts = &segments[..count];
    let mut group: &'a [u8] = b"";
    match parts {
        [b"api", _, _, ..] => parts = &parts[1..],
        [b"apis", name, _, _, ..] => {
            group = name;
            parts = &parts[2..];
        }
        _ => return None,
    }
    // The version.
    parts = &parts[1..];
    // Legacy verbs in the path (`proxy`, `watch`). If nothing follows them, the server refuses the request before
    // auditing.
    let proxy = parts[0] == b"proxy";
    let special = proxy || parts[0] == b"watch";
    parts = &parts[usize::from(special)..];
    if parts.is_empty() {
        return None;
    }
    let mut namespace: &'a [u8] = b"";
    if let [b"namespaces", name, rest @ ..] = parts {
        namespace = name;
        // A resource in the namespace follows, unless it is one of the namespace's own two subresources.
        if rest.first().is_some_and(|next| !matches!(*next, b"status" | b"finalize")) {
            parts = rest;
        }
    }
    let part = |index: usize| Cow::Borrowed(parts.get(index).copied().unwrap_or_default());
    let mut name: Text<'a> = part(1);
    if name.is_empty() && !special && matches!(verb, b"list" | b"watch") {
        name = Cow::Owned(selector::name(query).unwrap_or_default());
    }
    Some(RequestTarget {
        group: group.into(),
        resource: part(0),
        subresource: if proxy { Text::default() } else { part(2) },
        namespace: namespace.into(),
        name,
    })
}

fn trim(path: &[u8]) -> &[u8] {
    let start = path.iter().position(|byte| *byte != b'/').unwrap_or(path.len());
    let end = path.iter().rposition(|byte| *byte != b'/').map_or(start, |last| last + 1);
    &path[start..end]
}

/// Decodes percent escapes as in a path, where `+` stands for itself. Invalid escapes are kept; the server refuses
/// such a URI.
pub(super) fn decode(text: Text<'_>) -> Text<'_> {
    let Some(first) = memchr::memchr(b'%', &text) else { return text };
    let mut out = text[..first].to_vec();
    let mut rest = &text[first..];
    while let [byte, tail @ ..] = rest {
        match (byte, tail) {
            (b'%', [high, low, after @ ..])
                if let (Some(high), Some(low)) = (digit(*high), digit(*low)) =>
            {
                out.push(high << 4 | low);
                rest = after;
            }
            _ => {
                out.push(*byte);
                rest = tail;
            }
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `group|resource|subresource|namespace|name`.
    fn check(uri: &str, verb: &str, expected: &str) {
        let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
        let path = decode(path.as_bytes().into());
        let found = target(&path, verb.as_bytes(), query.as_bytes()).map(|found| {
            [found.group, found.resource, found.subresource, found.namespace, found.name]
                .map(|text| String::from_utf8_lossy(&text).into_owned())
                .join("|")
        });
        assert_eq!(found.as_deref(), Some(expected).filter(|text| !text.is_empty()), "{uri}");
    }

    #[test]
    fn a_path_names_group_resource_namespace_and_name() {
        check("/api/v1/pods", "list", "|pods|||");
        check("/api/v1/namespaces/a/pods/b/log", "get", "|pods|log|a|b");
        check(
            "/apis/apps/v1/namespaces/a/deployments/b/scale",
            "update",
            "apps|deployments|scale|a|b",
        );
        check("/api/v1/nodes/n/proxy/metrics/cadvisor", "get", "|nodes|proxy||n");
        check("//api/v1/nodes/n//", "get", "|nodes|||n");
        check("/api/v1/namespaces//pods", "list", "|pods|||");
        check("/api/v1/nodes/a%2fb", "get", "|nodes|b||a");
        check("/api/v1/nodes/a%2fb%20c+%zz", "get", "|nodes|b c+%zz||a");
    }

    #[test]
    fn a_namespace_is_in_itself_and_has_two_subresources_of_its_own() {
        check("/api/v1/namespaces", "list", "|namespaces|||");
        check("/api/v1/namespaces/a", "get", "|namespaces||a|a");
        check("/api/v1/namespaces/a/finalize", "update", "|namespaces|finalize|a|a");
        check("/api/v1/namespaces/a/status/b", "update", "|namespaces|status|a|a");
        check("/api/v1/namespaces/a/bindings", "create", "|bindings||a|");
    }

    #[test]
    fn verbs_in_the_path_are_passed_over() {
        check("/api/v1/watch/namespaces/a/pods/b", "watch", "|pods||a|b");
        check("/api/v1/proxy/namespaces/a/services/b/c/d", "proxy", "|services||a|b");
        check("/api/v1/watch/pods?fieldSelector=metadata.name%3Db", "watch", "|pods|||");
        check("/api/v1/watch", "watch", "");
    }

    #[test]
    fn a_field_selector_gives_a_list_or_watch_its_name() {
        check("/api/v1/pods?limit=5&fieldSelector=metadata.name%3Db", "list", "|pods|||b");
        check("/api/v1/pods?fieldSelector=metadata.name=b", "watch", "|pods|||b");
        check("/api/v1/pods?fieldSelector=metadata.name=b", "deletecollection", "|pods|||");
    }

    #[test]
    fn discovery_and_health_are_no_resources() {
        for path in [
            "/",
            "",
            "/healthz",
            "/api",
            "/api/v1",
            "/api/v1/",
            "/apis/apps/v1",
            "/version/a/b/c",
            "*",
        ] {
            check(path, "get", "");
        }
    }
}
