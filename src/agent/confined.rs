//! Which paths the agent needs, and what follows when one of them is replaced.

use std::iter;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::watch;

use super::own_files::named;
use crate::config::{Config, FollowedLog, OutputKind, RedactMode};
use crate::confine::{Allowed, Confinement, Replaced, Strength, Use, confine};

/// Files by which the C library finds hosts. Other programs put new ones into their place.
const NAMES: &[&str] = &["/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf"];

/// What else the C library and the TLS library read: certificate authorities, and libraries that look up names. Not the
/// private keys below `/etc/ssl` and `/etc/pki`.
const SYSTEM: &[&str] = &[
    "/run/systemd/resolve",
    "/run/resolvconf",
    "/etc/host.conf",
    "/etc/gai.conf",
    "/etc/ld.so.cache",
    "/etc/ssl/certs",
    "/etc/ssl/cert.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/certs",
    "/etc/pki/tls/cert.pem",
    "/etc/pki/ca-trust",
    "/etc/ca-certificates",
    "/usr/share/ca-certificates",
    "/usr/local/share/ca-certificates",
    "/usr/lib",
    "/usr/lib64",
    "/lib",
    "/lib64",
    "/proc/self",
];

/// Where the API server's flags stand, for the hint on a log that does not exist. They hold no secret.
const MANIFESTS: &[&str] =
    &["/etc/kubernetes/manifests", "/var/lib/rancher/rke2/agent/pod-manifests"];

/// Variables that name further certificate authorities.
const VARIABLES: [&str; 2] = ["SSL_CERT_FILE", "SSL_CERT_DIR"];

/// Directories that many programs share. Of these a file is allowed by itself, not with all its neighbours.
const COMMON: &[&str] =
    &["/", "/etc", "/home", "/mnt", "/opt", "/root", "/run", "/srv", "/tmp", "/usr", "/var"];

/// Between two looks for a path that was replaced.
const LOOK: Duration = Duration::from_secs(10);

/// Confines the process, unless the configuration at `path` says that it should not be. Says in one line of the log what
/// holds.
pub(super) fn confine_to(config: &Config, path: &Path) -> Replaced {
    if !config.confine {
        tracing::warn!(
            "`confine` is false: the agent keeps access to files and system calls that it does not need"
        );
        return Replaced::default();
    }
    let own = own(config, path);
    let watched = NAMES.iter().map(PathBuf::from).chain(own.iter().map(|one| one.path.clone()));
    let watched = watched.collect();
    let Confinement { paths, system_calls, replaced } = confine(&[own, system()].concat(), watched);
    let whole = !matches!((&paths, &system_calls), (Strength::None(_), _) | (_, Strength::None(_)));
    let (paths, system_calls) = (paths.to_string(), system_calls.to_string());
    if whole {
        tracing::info!(paths, system_calls, "the agent confined itself to what it needs");
    } else {
        tracing::warn!(
            paths,
            system_calls,
            "the kernel does not let the agent confine itself to what it needs"
        );
    }
    replaced
}

/// Stops the agent when something takes the place of a path to which it confined itself, and returns the error with which
/// it ends: the service manager starts it anew.
pub(super) async fn stop_when_replaced(
    replaced: Replaced,
    stop: watch::Sender<bool>,
) -> anyhow::Result<()> {
    let path = replacement(replaced).await;
    stop.send_replace(true);
    anyhow::bail!(
        "{} was replaced since the start, when the agent confined itself to what was there: it ends so that the service manager starts it again",
        path.display()
    )
}

/// Waits until a path was replaced, and returns it.
async fn replacement(replaced: Replaced) -> PathBuf {
    let mut ticks = tokio::time::interval(LOOK);
    loop {
        ticks.tick().await;
        let replaced = replaced.clone();
        let look = tokio::task::spawn_blocking(move || replaced.any().map(Path::to_owned));
        if let Ok(Some(path)) = look.await {
            return path;
        }
    }
}

/// What every program needs.
fn system() -> Vec<Allowed> {
    let fixed = NAMES.iter().chain(SYSTEM).chain(MANIFESTS).map(PathBuf::from);
    let variables = VARIABLES.iter().filter_map(std::env::var_os);
    let variables = variables.flat_map(|paths| std::env::split_paths(&paths).collect::<Vec<_>>());
    fixed.chain(variables).map(|path| Allowed { path, for_: Use::Read }).collect()
}

/// The paths that the agent needs under this configuration, which was read from `path`.
fn own(config: &Config, path: &Path) -> Vec<Allowed> {
    let files = iter::once(path.to_owned()).chain(files(config));
    let files = files.flat_map(|file| with_neighbours(&file));
    let logs = config.logs().flat_map(followed);
    let written = iter::once(config.state_dir.clone()).chain(written(config));
    let for_ = |for_| move |path| Allowed { path, for_ };
    files
        .map(for_(Use::Read))
        .chain(logs.map(for_(Use::Follow)))
        .chain(written.map(for_(Use::Own)))
        .collect()
}

/// The files that the configuration names and that are read again while the agent runs.
fn files(config: &Config) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for output in &config.outputs {
        files.extend(output.transform.policy_file.clone());
        let mode = output.transform.redact.as_ref().map(|redact| &redact.mode);
        if let Some(RedactMode::Hash { key_file }) = mode {
            files.extend(key_file.clone());
        }
        let http = output.kind.http().into_iter().flat_map(named);
        files.extend(http.map(|(path, _)| path.to_owned()));
    }
    files
}

/// A file and its directory: editors and Kubernetes put another file into its place.
fn with_neighbours(file: &Path) -> Vec<PathBuf> {
    let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let parent =
        file.parent().filter(|parent| !COMMON.iter().any(|common| *parent == Path::new(common)));
    let real = file.canonicalize().ok();
    parent.map(Path::to_owned).into_iter().chain([file.clone()]).chain(real).collect()
}

/// The directories of a log: its own, the one that it is in if it is a symbolic link, those of its backups, and of the
/// links.
fn followed(log: &FollowedLog) -> Vec<PathBuf> {
    let real = log.path.canonicalize().ok();
    let own = [Some(log.path.clone()), real].into_iter().flatten();
    let own = own.filter_map(|path| path.parent().map(existing));
    let backups = log.backups.iter().map(|backups| backups.directory.clone());
    let hold = (log.hold.max_bytes > 0).then(|| existing(&log.hold.dir));
    own.chain(backups).chain(hold).collect()
}

/// The directories of file outputs: rotation renames within them.
fn written(config: &Config) -> Vec<PathBuf> {
    let mut directories = Vec::new();
    for output in &config.outputs {
        if let OutputKind::File(file) = &output.kind
            && file.path.as_os_str() != "-"
        {
            directories.extend(config.logs().filter_map(|log| {
                let path = file.path_for(&log.name);
                path.parent().map(existing)
            }));
        }
    }
    directories
}

/// The directory, or the nearest one above it that exists: it may be made later.
fn existing(directory: &Path) -> PathBuf {
    let found = directory.ancestors().find(|path| path.is_dir());
    found.unwrap_or(directory).to_owned()
}
