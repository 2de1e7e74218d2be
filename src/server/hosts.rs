//! Checks the `Host` header against DNS rebinding: under which names the pages answer.
//!
//! A web page in an operator's browser can point its own name at the address of this node (DNS rebinding), and then
//! read the pages here as if they were its own. The browser still sends that name as `Host`, and such a name is
//! refused. Only names that an attacker cannot own pass: IP addresses, names of this machine, names without a dot,
//! and names below domains that do not exist in the public DNS. Others have to be listed in `allowed_hosts`.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::HOST;
use axum::http::{StatusCode, Version};
use axum::middleware::Next;
use axum::response::Response;

use super::response::{TEXT, answer};

/// Domains that no registry delegates: those of a cluster's services, `.localhost` (RFC 6761), and `.internal`, which
/// ICANN reserves. Clouds name their machines in `.internal`.
const PRIVATE: [&str; 4] = [".svc", ".cluster.local", ".localhost", ".internal"];

/// The names that pass.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hosts {
    /// In lower case. One that begins with a dot stands for all names below it.
    names: Arc<[String]>,
}

impl Hosts {
    /// `names`: the names of this node, and those of the configuration.
    pub(crate) fn new<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        Self { names: names.map(plain).collect() }
    }

    /// Whether a host passes: a name or an address, with or without a port.
    fn pass(&self, host: &str) -> bool {
        if let Some(rest) = host.strip_prefix('[') {
            let Some((address, port)) = rest.split_once(']') else { return false };
            return address.parse::<Ipv6Addr>().is_ok()
                && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port));
        }
        let name = match host.rsplit_once(':') {
            None => host,
            Some((name, port)) if is_port(port) => name,
            Some(_) => return false,
        };
        if name.parse::<Ipv4Addr>().is_ok() {
            return true;
        }
        let name = plain(name);
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || !name.chars().all(is_name) {
            return false;
        }
        let below = |domain: &str| name.len() > domain.len() && name.ends_with(domain);
        !name.contains('.')
            || PRIVATE.iter().any(|domain| below(domain))
            || self
                .names
                .iter()
                .any(|known| if known.starts_with('.') { below(known) } else { *known == name })
    }
}

/// The form in which names are compared: in lower case, without the trailing dot.
fn plain(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok()
}

/// Lets a request pass if its host is known. HTTP/1.0 needs no host: no browser speaks it.
pub(super) async fn check(State(hosts): State<Hosts>, request: Request, next: Next) -> Response {
    let mut given = request.headers().get_all(HOST).iter();
    let (first, more) = (given.next(), given.next().is_some());
    // The name in the URL wins over the header's: RFC 9112, section 3.2.2.
    let host = match (request.uri().authority(), first) {
        (Some(authority), _) => Some(authority.as_str()),
        (None, Some(value)) => value.to_str().ok().or(Some("")),
        (None, None) => None,
    };
    let bad = |what: &str| answer(StatusCode::BAD_REQUEST, TEXT, format!("{what}\n"));
    match host {
        _ if more => bad("two Host headers"),
        None if request.version() > Version::HTTP_10 => bad("no Host header"),
        Some(host) if !hosts.pass(host) => answer(
            StatusCode::MISDIRECTED_REQUEST,
            TEXT,
            "this name is not one of this agent's: use its address, or list the name under `allowed_hosts` in [server]\n"
                .into(),
        ),
        _ => next.run(request).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_names_of_the_node_of_the_cluster_and_of_the_configuration_pass_with_any_port() {
        let hosts =
            Hosts::new(["cp-1.example.org", "Audit.Example.com.", ".ops.example.net"].into_iter());
        for host in [
            "127.0.0.1",
            "10.0.0.7:9885",
            "[::1]",
            "[2001:db8::7]:80",
            "[::ffff:10.0.0.7]:1",
            "localhost",
            "LOCALHOST:9885",
            "localhost.",
            "agent.localhost",
            "cp-1",
            "auditrail:9885",
            "auditrail.auditrail.svc",
            "auditrail.auditrail.svc:9885",
            "auditrail.auditrail.svc.cluster.local.:9885",
            "10-0-0-7.auditrail.pod.cluster.local",
            "ip-10-0-0-7.eu-central-1.compute.internal:9885",
            "CP-1.example.org:9885",
            "audit.example.com",
            "a.ops.example.net:1",
        ] {
            assert!(hosts.pass(host), "{host}");
        }
        for host in [
            "",
            ":9885",
            "evil.example",
            "evil.example:9885",
            "127.0.0.1.evil.example",
            "127.0.0.1.nip.io:9885",
            "localhost.evil.example",
            "cp-1.example.org.evil.example",
            "x.cp-1.example.org",
            "evilsvc.example",
            "evil.svc.example",
            ".svc",
            ".cluster.local",
            "ops.example.net",
            ".ops.example.net",
            "evilops.example.net",
            "user@127.0.0.1",
            "127.0.0.1:port",
            "127.0.0.1:99999",
            "[::1",
            "[::1]x",
            "::1",
            "[evil.example]",
            "a b",
            "a/b",
            "ёvil",
        ] {
            assert!(!hosts.pass(host), "{host:?}");
        }
    }
}
