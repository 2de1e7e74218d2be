//! Finds exposure: who else can read the agent's secrets, change what it does, or listen to its requests. `check`
//! shows each finding, and `run` logs it once at its start. `run` starts all the same: an audit log that leaves the
//! node over a bad channel is better than one that does not leave.
//!
//! A pod has its own mounts and network. In a pod only its containers see the files of a read-only mount (secrets,
//! config maps), and every address is one of the pod's, so neither causes a warning. A process in a pod cannot tell
//! whether the pod shares the network of its node (`hostNetwork`).

use std::fs::{self, Metadata};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::StatVfsMountFlags;
use url::Url;

use super::own_files::named;
use crate::config::{Auth, Config, Http, is_telling};
use crate::disk::private::{self, Other};
use crate::output::Finding;

/// Logs each finding.
pub(crate) fn tell(config: &Config, path: &Path) {
    for (subject, finding) in exposed(config, path) {
        let Finding { what, hint, .. } = &finding;
        if finding.is_failure() {
            tracing::error!(subject, hint, "{what}");
        } else {
            tracing::warn!(subject, hint, "{what}");
        }
    }
}

/// The findings, each with its subject. A configuration that others can write to is a failure.
pub(crate) fn exposed(config: &Config, path: &Path) -> Vec<(String, Finding)> {
    let in_pod = std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
    let mut found: Vec<(String, Finding)> = Vec::new();
    found.extend(configuration(config, path, in_pod).map(|one| ("configuration".to_owned(), one)));
    for webhook in config.webhooks() {
        let of = |one| (format!("inputs.{}", webhook.log.name), one);
        found.extend(secret_files(webhook.files(), in_pod).into_iter().map(of));
    }
    for output in &config.outputs {
        let Some(http) = output.kind.http() else { continue };
        let query = output.kind.has_telling_query();
        let subject = || format!("outputs.{}", output.name);
        found.extend(secret_files(named(http), in_pod).into_iter().map(|one| (subject(), one)));
        let unsafe_url =
            output.kind.endpoints().iter().find_map(|url| in_the_clear(url, http, query));
        found.extend(unsafe_url.map(|one| (subject(), one)));
    }
    let listen = config.server.listen.as_ref().filter(|_| !in_pod);
    found
        .extend(listen.and_then(|listen| everywhere(listen)).map(|one| ("server".to_owned(), one)));
    found
}

/// The configuration file: a writer of it can make the agent's user write to any file.
fn configuration(config: &Config, path: &Path, in_pod: bool) -> Option<Finding> {
    let meta = fs::metadata(path).ok()?;
    let shown = path.display();
    let mount = Mount::of(path);
    if let Some(whose) = others_write(&meta).filter(|_| !mount.read_only) {
        let what = format!(
            "{shown} can be written to by {whose}, who can have the agent write and read files as its user"
        );
        return Some(Finding::fail(
            what,
            format!("chown it to the agent's user and chmod 0600 {shown}"),
        ));
    }
    let line = config.secret_lines.first()?;
    let whose = others_read(&meta).filter(|_| !(in_pod && mount.read_only))?;
    let what = format!("{shown} holds a secret in line {line} and can be read by {whose}");
    let hint = format!(
        "chmod 0600 {shown}, or put the secret into a file of its own (`password_file`, `bearer_token_file`, `api_key_file`)"
    );
    Some(Finding::warn(what, hint))
}

fn secret_files(named: Vec<(&Path, &'static str)>, in_pod: bool) -> Vec<Finding> {
    let finding = |(path, key): (&Path, &str)| {
        let meta = fs::metadata(path).ok()?;
        let mount = Mount::of(path);
        let shown = path.display();
        if let Some(whose) = others_write(&meta).filter(|_| !mount.read_only) {
            let what = format!("{shown}, which `{key}` names, can be written to by {whose}");
            return Some(Finding::warn(
                what,
                format!("chown it to the agent's user and chmod 0600 {shown}"),
            ));
        }
        // Certificates are public.
        if matches!(key, "tls.ca_file" | "tls.cert_file" | "tls.client_ca_file")
            || (in_pod && mount.read_only)
        {
            return None;
        }
        let whose = others_read(&meta)?;
        let what =
            format!("{shown}, which `{key}` names, holds a secret and can be read by {whose}");
        Some(Finding::warn(what, format!("chmod 0600 {shown}")))
    };
    named.into_iter().filter_map(finding).collect()
}

/// Credentials over plain HTTP. A name inside the cluster is no exception: anybody on the network of the node or of
/// the store can read them.
fn in_the_clear(url: &str, http: &Http, query: bool) -> Option<Finding> {
    let url = Url::parse(url).ok()?;
    let telling = query || url.query_pairs().any(|(name, _)| is_telling(&name));
    let header = http.headers.iter().any(|(name, _)| is_telling(name));
    let kind = match &http.auth {
        Auth::Basic { .. } => "a password",
        Auth::Bearer(_) => "a token",
        Auth::ApiKey(_) => "an API key",
        Auth::None if header => "a secret header",
        Auth::None if telling => "a secret in the URL",
        Auth::None => return None,
    };
    if url.scheme() != "http" || is_loopback(&url) {
        return None;
    }
    let host = url.host_str().unwrap_or_default();
    let what =
        format!("{kind} is sent to {host} over plain HTTP, where everybody in between can read it");
    let hint = "write https:// in the endpoint, and name the CA's file in `tls.ca_file` if it is a private one";
    Some(Finding::warn(what, hint))
}

/// The status page, open to everybody who can reach the node.
fn everywhere(listen: &str) -> Option<Finding> {
    let address: SocketAddr = listen.parse().ok()?;
    address.ip().is_unspecified().then(|| {
        Finding::warn(
            format!("{listen} is every address of this node, and the pages ask for no password"),
            "listen on 127.0.0.1, or on the address that Prometheus scrapes, and let nobody else through with a firewall or a NetworkPolicy",
        )
    })
}

fn is_loopback(url: &Url) -> bool {
    let Some(host) = url.host_str() else { return false };
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    address.is_ok_and(|address| address.is_loopback())
        || host == "localhost"
        || host.ends_with(".localhost")
}

/// The mount that a file is on.
struct Mount {
    read_only: bool,
}

impl Mount {
    fn of(path: &Path) -> Self {
        let flags = rustix::fs::statvfs(path).map(|mount| mount.f_flag);
        Self { read_only: flags.is_ok_and(|flags| flags.contains(StatVfsMountFlags::RDONLY)) }
    }
}

/// Who can write to a file, besides root and the agent's user.
fn others_write(meta: &Metadata) -> Option<String> {
    Other::writer(meta).map(|other| shown(other, meta))
}

/// Who can read a file, besides root and the agent's user.
fn others_read(meta: &Metadata) -> Option<String> {
    let mode = meta.mode();
    // systemd and packages let the agent's user read a file of root through a group of its own.
    let by_group = mode & 0o040 != 0 && private::is_shared(meta.gid()) && private::own() == 0;
    let other = if mode & 0o004 != 0 {
        Other::Everybody
    } else if by_group {
        Other::Group(meta.gid())
    } else {
        return None;
    };
    Some(shown(other, meta))
}

fn shown(other: Other, meta: &Metadata) -> String {
    let mode = meta.mode() & 0o7777;
    match other {
        Other::Everybody => format!("everybody (mode {mode:04o})"),
        Other::Owner(user) => format!("user {user}, who owns it"),
        Other::Group(group) => format!("group {group} (mode {mode:04o})"),
    }
}
