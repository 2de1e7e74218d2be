//! What one look at the directory tells of the log: whether events can arrive at all, and how an operator mends it.
//!
//! [`after_look`] raises and clears all such findings, for the thread that follows the log and for `check` and `status`,
//! which look once.

use std::fs::{self, FileType};
use std::io;
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::catalogue::Found;
use super::follower::state_of;
use super::known_paths;
use crate::config::FileInput;
use crate::telemetry::{FindingKind, InputFinding, InputState, InputStats, human};

/// What to do about a log that may not be read.
const RIGHTS: &str = "run as root, give the agent CAP_DAC_READ_SEARCH, or change mode and group of the file and its directory";
/// A server writes its first event within seconds.
const EMPTY: Duration = Duration::from_mins(10);

/// What is reported depends on who looks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Looker {
    /// The running agent: what may mend itself within minutes is not reported yet.
    Follower,
    /// `check` and `status`, which look once.
    Once,
}

/// Brings the state and the findings of an input up to date with what a look found.
pub(super) fn after_look(
    stats: &InputStats,
    config: &FileInput,
    found: &io::Result<Found>,
    looker: Looker,
) {
    let readable = match found {
        Ok(found) => state_of(found, &config.path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            InputState::Missing { path: config.path.clone() }
        }
        Err(error) => {
            InputState::Unreadable { path: config.path.clone(), error: error.to_string() }
        }
    };
    let kept_open = found.as_ref().is_ok_and(|found| !found.generations.is_empty());
    let odd = not_a_file(&config.path);
    let missing = match &readable {
        InputState::Missing { .. } if odd.is_none() => Some(missing(config, found, kept_open)),
        _ => None,
    };
    let unreadable = match &readable {
        InputState::Unreadable { path, error } if odd.is_none() => Some(InputFinding::failure(
            FindingKind::LogUnreadable,
            format!("{} cannot be read: {error}", path.display()),
            RIGHTS,
        )),
        _ => None,
    };
    let empty = found.as_ref().ok().and_then(|found| empty(config, found, looker));
    stats.set_state(readable);
    stats.set_finding(FindingKind::NotAFile, odd);
    stats.set_finding(FindingKind::LogMissing, missing);
    stats.set_finding(FindingKind::LogUnreadable, unreadable);
    stats.set_finding(FindingKind::LogEmpty, empty);
}

fn missing(config: &FileInput, found: &io::Result<Found>, kept_open: bool) -> InputFinding {
    let (kind, shown) = (FindingKind::LogMissing, config.path.display());
    if kept_open {
        return InputFinding::warning(
            kind,
            format!(
                "{shown} was moved or deleted while the server writes to it; its open file is followed"
            ),
            "restart the API server to make it open a new one",
        );
    }
    let what = match found {
        Ok(_) => format!("{shown} is not there"),
        Err(_) => format!("the directory of {shown} is not there"),
    };
    InputFinding::failure(kind, what, known_paths::hint(Path::new("/"), &config.path))
}

/// A log under the name of something that is no file: opening a FIFO would block, and a device has no end.
pub(super) fn not_a_file(path: &Path) -> Option<InputFinding> {
    let kind = fs::metadata(path).ok()?.file_type();
    if kind.is_file() {
        return None;
    }
    Some(InputFinding::failure(
        FindingKind::NotAFile,
        format!("{} is {}, not a log file", path.display(), kind_of(kind)),
        "set `path` to the regular file that --audit-log-path of kube-apiserver names; a server that logs to a pipe or a device cannot be followed",
    ))
}

fn kind_of(kind: FileType) -> &'static str {
    match kind {
        kind if kind.is_dir() => "a directory",
        kind if kind.is_fifo() => "a FIFO",
        kind if kind.is_socket() => "a socket",
        kind if kind.is_char_device() || kind.is_block_device() => "a device",
        _ => "no regular file",
    }
}

/// The server made the log, and nothing was ever written to it.
fn empty(config: &FileInput, found: &Found, looker: Looker) -> Option<InputFinding> {
    let meta = fs::metadata(&config.path).ok().filter(|meta| meta.is_file() && meta.len() == 0)?;
    if found.backups > 0 || !found.live_exists {
        return None;
    }
    let modified = meta.modified().ok()?;
    let age = SystemTime::now().duration_since(modified).unwrap_or_default();
    if age < EMPTY && looker == Looker::Follower {
        return None;
    }
    Some(InputFinding::failure(
        FindingKind::LogEmpty,
        format!(
            "{} has been empty for {}: the API server records nothing",
            config.path.display(),
            human::duration(age)
        ),
        "give kube-apiserver a policy with rules above `level: None` (--audit-policy-file); RKE2 in CIS mode writes one that records \
         nothing to /etc/rancher/rke2/audit-policy.yaml",
    ))
}
