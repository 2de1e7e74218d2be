//! Makes the file changes of the model's steps, as the API server and operators do.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use super::ideal::Change;
use super::step::Gz;

/// The directory of the log, and the file that the API server has open.
pub(super) struct Disk {
    directory: PathBuf,
    server: Server,
    /// The inodes that each backup has had, by its name without `.gz`.
    inodes: HashMap<String, Vec<u64>>,
}

/// The first file is opened for appending; after a rotation the API server writes at its own offset.
enum Server {
    Starting,
    Appends(File),
    Writes(File, u64),
}

impl Disk {
    pub(super) fn new(directory: PathBuf) -> Self {
        fs::create_dir_all(&directory).unwrap();
        Self { directory, server: Server::Starting, inodes: HashMap::new() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// `meanwhile` runs between the two parts of a file that returns.
    pub(super) fn make(&mut self, change: Change, meanwhile: impl FnOnce()) {
        match change {
            Change::Append(bytes) => self.append(&bytes),
            Change::Rename(from, to) => {
                fs::rename(self.path(&from), self.path(&to)).unwrap();
                let inode = fs::metadata(self.path(&to)).unwrap().ino();
                // A backup and its `.gz` have one entry. A deleted file of that name is another backup.
                if let Some(before) = self.inodes.remove(plain(&from)) {
                    self.inodes.insert(plain(&to).to_owned(), before);
                }
                self.note(plain(&to), inode);
            }
            Change::Create => {
                self.server = Server::Writes(File::create(self.path("audit.log")).unwrap(), 0);
            }
            Change::CopyLive(to) => {
                fs::copy(self.path("audit.log"), self.path(&to)).unwrap();
                let inode = fs::metadata(self.path(&to)).unwrap().ino();
                self.inodes.insert(to, vec![inode]);
            }
            Change::Truncate => {
                let live = OpenOptions::new().write(true).open(self.path("audit.log")).unwrap();
                live.set_len(0).unwrap();
            }
            Change::Gzip(name, gz) => {
                let bytes = compressed(&self.path(&name));
                let until = match gz {
                    Gz::Begun => 0,
                    Gz::Half => bytes.len() / 2,
                    Gz::Whole | Gz::Done => bytes.len(),
                };
                let gz = self.path(&format!("{name}.gz"));
                fs::write(&gz, &bytes[..until]).unwrap();
                self.note(&name, fs::metadata(&gz).unwrap().ino());
            }
            Change::Return(name) => {
                let bytes = compressed(&self.path(&name));
                let gz = self.path(&format!("{name}.gz"));
                fs::write(&gz, &bytes[..bytes.len() / 2]).unwrap();
                self.note(&name, fs::metadata(&gz).unwrap().ino());
                fs::remove_file(self.path(&name)).unwrap();
                meanwhile();
                let mut file = OpenOptions::new().append(true).open(&gz).unwrap();
                file.write_all(&bytes[bytes.len() / 2..]).unwrap();
            }
            Change::Unlink(name) => fs::remove_file(self.path(&name)).unwrap(),
        }
    }

    /// The directory was replaced by a snapshot; the API server opens its log anew.
    pub(super) fn roll_back(&mut self) {
        (self.server, self.inodes) = (Server::Starting, HashMap::new());
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

    fn append(&mut self, bytes: &[u8]) {
        if matches!(self.server, Server::Starting) {
            let live = self.path("audit.log");
            let file = OpenOptions::new().create(true).append(true).open(live).unwrap();
            self.server = Server::Appends(file);
        }
        match &mut self.server {
            Server::Appends(file) => file.write_all(bytes).unwrap(),
            Server::Writes(file, at) => {
                file.write_all_at(bytes, *at).unwrap();
                *at += bytes.len() as u64;
            }
            Server::Starting => {}
        }
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

fn compressed(plain: &Path) -> Vec<u8> {
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gz.write_all(&fs::read(plain).unwrap()).unwrap();
    gz.finish().unwrap()
}
