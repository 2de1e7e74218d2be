//! Detects that the log itself is a mount point: the agent then sees only that file, and never the next one.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statx};

/// Whether a file is mounted without its directory.
///
/// If the agent's pod mounts the file, it keeps reading the old one after the server's rotation (grafana/loki issue
/// 9699). If the server's pod mounts it, the server cannot rename it at all (kubernetes/website pull request 30712).
pub(crate) fn is_mounted_alone(path: &Path) -> bool {
    if let Some(is_root) = is_mount_root(path) {
        return is_root;
    }
    let Ok(mounts) = fs::read("/proc/self/mountinfo") else { return false };
    // Mount points are listed without symbolic links. The log's own name may be a symbolic link to elsewhere.
    let named = path
        .parent()
        .zip(path.file_name())
        .and_then(|(directory, name)| Some(fs::canonicalize(directory).ok()?.join(name)));
    [named, fs::canonicalize(path).ok()]
        .into_iter()
        .flatten()
        .any(|path| is_mount_point(&mounts, path.as_os_str().as_bytes()))
}

/// The answer of statx, since Linux 5.8; `None` if the kernel does not report it.
fn is_mount_root(path: &Path) -> Option<bool> {
    let found = statx(CWD, path, AtFlags::empty(), StatxFlags::empty()).ok()?;
    let known = found.stx_attributes_mask.contains(StatxAttributes::MOUNT_ROOT);
    known.then(|| found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

fn is_mount_point(mounts: &[u8], path: &[u8]) -> bool {
    let points = mounts
        .split(|byte| *byte == b'\n')
        .filter_map(|line| line.split(|byte| *byte == b' ').nth(4));
    points.map(unescaped).any(|point| point == path)
}

/// Decodes octal escapes: the kernel writes blanks, tabs, newlines and backslashes as three octal digits.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        let code = match after.get(..3) {
            Some(digits)
                if first == b'\\' && digits.iter().all(|byte| (b'0'..b'8').contains(byte)) =>
            {
                let digit = |at: usize| u32::from(digits[at] - b'0');
                u8::try_from(digit(0) * 64 + digit(1) * 8 + digit(2)).ok()
            }
            _ => None,
        };
        plain.push(code.unwrap_or(first));
        rest = if code.is_some() { &after[3..] } else { after };
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &[u8] = b"22 1 0:21 / / rw - ext4 /dev/vda rw\n\
        97 22 8:1 /logs/audit.log /var/log/audit/audit.log ro,relatime shared:1 - ext4 /dev/sda rw\n\
        98 22 8:1 /logs /var/log/with\\040blank\\134/audit rw - ext4 /dev/sda rw\n";

    #[test]
    fn a_log_that_is_a_mount_point_is_told_from_one_below_a_mount_point() {
        for (path, alone) in [
            ("/var/log/audit/audit.log", true),
            ("/logs/audit.log", false),
            ("/var/log/with blank\\/audit", true),
            ("/var/log/with blank\\/audit/audit.log", false),
        ] {
            assert_eq!(is_mount_point(MOUNTS, path.as_bytes()), alone, "{path}");
        }
    }

    #[test]
    fn a_log_that_is_reached_by_a_symbolic_link_is_looked_for_where_it_is() {
        // `/` is a mount point wherever tests run.
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/", dir.path().join("link")).unwrap();
        assert!(is_mounted_alone(&dir.path().join("link")));
        assert!(!is_mounted_alone(dir.path()));
    }
}
