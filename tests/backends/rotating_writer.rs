//! Writes recorded events to a log with lumberjack, the rotation library that kube-apiserver uses.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::servers::built;

/// A running writer. Dropping it kills the process.
pub(crate) struct Writer {
    child: Child,
    copy: PathBuf,
}

impl Writer {
    /// Writes the events of the file `from` to `DIR/audit/audit.log`, which it rotates, and a plain copy to
    /// `DIR/written`. `options` are those of `servers/lumberjack`.
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

    /// Waits until everything is written, and returns all of it.
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
