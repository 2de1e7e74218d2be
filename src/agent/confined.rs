//! Which paths the agent needs, and what follows when one of them is replaced.

use std::iter;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::watch;

use super::own_files::named_files;
use crate::config::{Config, FollowedLog, OutputKind};
use crate::confine::{Allowed, Confinement, Purpose, Replaced, Strength, confine};
use crate::disk;

/// Files by which the C library finds hosts. Other programs put new ones into their place.
const NAMES: &[&str] = &["/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf"];

/// The C library and the TLS library read these too: certificate authorities, and libraries that look up names. They
/// never read the private keys below `/etc/ssl` and `/etc/pki`.
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

/// Many programs share these directories. If a file of the agent lies directly in one of them, the agent may read that
/// file only, and not the whole directory.
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
    let replaced = Replaced::new(watched.collect());
    let Confinement { paths, system_calls } = confine(&[own, system()].concat());
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

/// Confines a command that reads recorded logs: it may also read `paths`, and changes nothing beside the log. Without a
/// word in the log, since a command ends soon.
pub(crate) fn confine_command(config: &Config, path: &Path, paths: &[PathBuf]) {
    if !config.confine {
        return;
    }
    let read_only = |allowed: Allowed| match allowed.purpose {
        Purpose::Follow => Allowed { purpose: Purpose::Read, ..allowed },
        Purpose::Read | Purpose::Own => allowed,
    };
    let own = own(config, path).into_iter().map(read_only);
    let named = paths.iter().flat_map(|path| with_links(path));
    let named = named.map(|path| Allowed { path, purpose: Purpose::Read });
    let Confinement { paths, system_calls } =
        confine(&own.chain(named).chain(system()).collect::<Vec<_>>());
    let (paths, system_calls) = (paths.to_string(), system_calls.to_string());
    tracing::debug!(paths, system_calls, "the command confined itself to what it needs");
}

/// A path, and what the symbolic links in that directory lead to.
fn with_links(path: &Path) -> Vec<PathBuf> {
    let entries = disk::list(path).into_iter().flatten().flatten();
    let targets = entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_symlink()))
        .filter_map(|entry| entry.path().canonicalize().ok());
    iter::once(path.to_owned()).chain(targets).collect()
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

/// The paths that the agent needs under any configuration.
fn system() -> Vec<Allowed> {
    let fixed = NAMES.iter().chain(SYSTEM).chain(MANIFESTS).map(PathBuf::from);
    let variables = VARIABLES.iter().filter_map(std::env::var_os);
    let variables = variables.flat_map(|paths| std::env::split_paths(&paths).collect::<Vec<_>>());
    fixed.chain(variables).map(|path| Allowed { path, purpose: Purpose::Read }).collect()
}

/// The paths that the agent needs under this configuration, which was read from `path`.
fn own(config: &Config, path: &Path) -> Vec<Allowed> {
    // The agent reads these again while it runs.
    let named = named_files(config).into_iter().map(|(_, file, _)| file);
    let files = iter::once(path).chain(named).flat_map(with_neighbours);
    let logs = config.logs().flat_map(followed);
    let written = iter::once(config.state_dir.clone()).chain(written(config));
    let to = |purpose| move |path| Allowed { path, purpose };
    files
        .map(to(Purpose::Read))
        .chain(logs.map(to(Purpose::Follow)))
        .chain(written.map(to(Purpose::Own)))
        .collect()
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
