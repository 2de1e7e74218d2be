//! Makes the file changes of the model's steps, as the API server and operators do.

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use kit::LogWriter;
use kit::log_writer::{Part, compress_beside, gzip};

use super::ideal::Change;
use super::step::Gz;

/// The directory of the log, and its writer.
pub(super) struct Disk {
    directory: PathBuf,
    log: LogWriter,
    /// The inodes that each backup has had, by its name without `.gz`.
    inodes: HashMap<String, Vec<u64>>,
}

impl Disk {
    pub(super) fn new(directory: PathBuf) -> Self {
        fs::create_dir_all(&directory).unwrap();
        let log = LogWriter::new(directory.join("audit.log"));
        Self { directory, log, inodes: HashMap::new() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// `meanwhile` runs between the two parts of a file that returns.
    pub(super) fn make(&mut self, change: Change, meanwhile: impl FnOnce()) {
        match change {
            Change::Append(bytes) => self.log.append(&bytes),
            Change::Rename(from, to) => {
                fs::rename(self.path(&from), self.path(&to)).unwrap();
                let inode = fs::metadata(self.path(&to)).unwrap().ino();
                // A backup and its `.gz` have one entry. A deleted file of that name is another backup.
                if let Some(before) = self.inodes.remove(plain(&from)) {
                    self.inodes.insert(plain(&to).to_owned(), before);
                }
                self.note(plain(&to), inode);
            }
            Change::Create => self.log.create(),
            Change::CopyLive(to) => {
                fs::copy(self.path("audit.log"), self.path(&to)).unwrap();
                let inode = fs::metadata(self.path(&to)).unwrap().ino();
                self.inodes.insert(to, vec![inode]);
            }
            Change::Truncate => self.log.truncate(0),
            Change::Gzip(name, gz) => {
                let part = match gz {
                    Gz::Begun => Part::Empty,
                    Gz::Half => Part::Half,
                    Gz::Whole | Gz::Done => Part::Whole,
                };
                self.compress(&name, part);
            }
            Change::Return(name) => {
                self.compress(&name, Part::Half);
                let bytes = gzip(&fs::read(self.path(&name)).unwrap());
                fs::remove_file(self.path(&name)).unwrap();
                meanwhile();
                let gz = self.path(&format!("{name}.gz"));
                let mut file = OpenOptions::new().append(true).open(gz).unwrap();
                file.write_all(&bytes[bytes.len() / 2..]).unwrap();
            }
            Change::Unlink(name) => fs::remove_file(self.path(&name)).unwrap(),
        }
    }

    /// The directory was replaced by a snapshot; the API server opens its log anew.
    pub(super) fn roll_back(&mut self) {
        self.log = LogWriter::new(self.path("audit.log"));
        self.inodes.clear();
        for entry in fs::read_dir(&self.directory).unwrap().flatten() {
            let meta = entry.metadata().unwrap();
            if meta.is_file() {
                let name = entry.file_name().into_string().unwrap();
                self.note(plain(&name), meta.ino());
            }
        }
    }

    fn note(&mut self, name: &str, inode: u64) {
        self.inodes.entry(name.to_owned()).or_default().push(inode);
    }

    fn compress(&mut self, name: &str, part: Part) {
        let gz = compress_beside(&self.path(name), part);
        self.note(name, fs::metadata(gz).unwrap().ino());
    }

    /// Whether a hold (hard link) keeps one of these files of a backup.
    pub(super) fn is_pinned(&self, files: &[String]) -> bool {
        let Ok(pins) = fs::read_dir(self.directory.join(".auditrail-hold")) else { return false };
        let pins: Vec<_> =
            pins.flatten().filter_map(|entry| Some(entry.metadata().ok()?.ino())).collect();
        let inodes = files.iter().filter_map(|name| self.inodes.get(plain(name)));
        inodes.flatten().any(|inode| pins.contains(inode))
    }

    /// The content of the directory, for people.
    pub(super) fn listing(&self) -> String {
        let mut entries: Vec<_> = fs::read_dir(&self.directory)
            .map(|entries| entries.flatten().collect())
            .unwrap_or_default();
        entries.sort_by_key(fs::DirEntry::file_name);
        let line = |entry: &fs::DirEntry| {
            let length = entry.metadata().map_or(0, |meta| meta.len());
            format!("{length:>9} {}\n", entry.file_name().display())
        };
        entries.iter().map(line).collect()
    }
}

/// The name of a backup without `.gz`.
fn plain(name: &str) -> &str {
    name.strip_suffix(".gz").unwrap_or(name)
}
