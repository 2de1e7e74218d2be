//! The rotation library that kube-apiserver links, writing recorded events to a log.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::servers::built;

/// A writer at work. It is killed when dropped.
pub(crate) struct Writer {
    child: Child,
    copy: PathBuf,
}

impl Writer {
    /// Writes events of the file `from` to `DIR/audit/audit.log`, rotated, and plainly to `DIR/written`. `options` are
    /// those of `servers/lumberjack`.
    pub(crate) fn start(from: &Path, dir: &Path, options: &[&str]) -> Self {
        let copy = dir.join("written");
        fs::create_dir_all(dir.join("audit")).unwrap();
        let child = Command::new(built("bin/lumberjack"))
            .arg(format!("-from={}", from.display()))
            .arg(format!("-to={}", dir.join("audit/audit.log").display()))
            .arg(format!("-copy={}", copy.display()))
            .args(options)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, copy }
    }

    /// Waits until all is written, and returns it.
    pub(crate) fn written(mut self) -> Vec<u8> {
        assert!(self.child.wait().unwrap().success(), "the writer failed");
        fs::read(&self.copy).unwrap()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
