//! Findings about log rotation: conditions that make later events unreachable, although everything can be read now.

use std::path::Path;

use super::catalogue::Found;
use super::mounts::is_mounted_alone;
use crate::telemetry::{FindingKind, InputFinding, InputStats, human};

/// A log of this size without a backup is not rotated at all: managed clusters rotate at 512 MiB at most.
const LARGE: u64 = 2 << 30;

/// Raises and clears these findings after a look at the directory of the log `path`; `None` if it cannot be listed.
pub(crate) fn after_look(stats: &InputStats, path: &Path, found: Option<&Found>) {
    stats.set_finding(FindingKind::MountedAlone, mounted_alone(path));
    stats.set_finding(FindingKind::NotReopened, found.and_then(|found| not_reopened(path, found)));
    stats
        .set_finding(FindingKind::NeverRotated, found.and_then(|found| never_rotated(path, found)));
}

fn mounted_alone(path: &Path) -> Option<InputFinding> {
    is_mounted_alone(path).then(|| {
        InputFinding::failure(
            FindingKind::MountedAlone,
            format!(
                "only the file {} is mounted, not its directory: the file that the API server opens after a rotation cannot be seen, and its events are lost",
                path.display()
            ),
            "mount the directory of the log instead, in this pod and in the API server's, which cannot rotate a file that is a mount point",
        )
    })
}

fn not_reopened(path: &Path, found: &Found) -> Option<InputFinding> {
    let file = found.not_reopened.as_ref()?;
    Some(InputFinding::failure(
        FindingKind::NotReopened,
        format!(
            "{} stays empty: the API server still writes to the file that was renamed to {file}. This agent keeps that file open and reads on, but once it is deleted nobody else has its events",
            path.display()
        ),
        "restart the API server so that it opens its log anew, and leave rotation to it (--audit-log-maxsize=100 --audit-log-maxbackup=10) or use `copytruncate` in logrotate",
    ))
}

fn never_rotated(path: &Path, found: &Found) -> Option<InputFinding> {
    let [only] = &*found.generations else { return None };
    (found.backups == 0 && only.live && only.length >= LARGE).then(|| {
        InputFinding::warning(
            FindingKind::NeverRotated,
            format!(
                "{} has {} and was never rotated: it fills the disk",
                path.display(),
                human::size(only.length)
            ),
            "set --audit-log-maxsize=100 and --audit-log-maxbackup=10 on the API server (since Kubernetes 1.36 a maxsize of 0 means no rotation at all)",
        )
    })
}
