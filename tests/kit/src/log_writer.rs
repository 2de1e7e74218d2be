//! Writes a log as kube-apiserver does, whose rotation library is lumberjack: it appends to one file, renames the
//! file to a name with a time stamp, opens a new one, and compresses the backup later. It can also do to the log what
//! logrotate and people do.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;

/// The writer of one log.
#[derive(Debug)]
pub struct LogWriter {
    live: PathBuf,
    /// How a file is opened that was there before the writer.
    opening: Opening,
    /// The file that the writer has open; it does not notice what others do to the path.
    open: Option<Open>,
}

#[derive(Clone, Copy, Debug)]
enum Opening {
    /// With `O_APPEND`, as the API server opens its first file.
    Append,
    /// At the end, from where it counts on, as in a file that the API server has made itself.
    Offset,
    /// With `O_APPEND`, again for each write, so that it follows what a test does to the path.
    EachTime,
}

#[derive(Debug)]
enum Open {
    Append(File),
    /// The offset of the next write.
    Offset(File, u64),
}

impl LogWriter {
    /// Like the API server: opens its first file for appending, and writes to each later one at its own offset.
    pub fn new(live: impl Into<PathBuf>) -> Self {
        Self { live: live.into(), opening: Opening::Append, open: None }
    }

    /// Writes at its own offset from the start, like an API server that has rotated before.
    pub fn at_own_offset(live: impl Into<PathBuf>) -> Self {
        Self { opening: Opening::Offset, ..Self::new(live) }
    }

    /// Opens the log for each write, so that a test may rename, cut or delete it by itself.
    pub fn reopening(live: impl Into<PathBuf>) -> Self {
        Self { opening: Opening::EachTime, ..Self::new(live) }
    }

    /// The path of the log.
    pub fn live(&self) -> &Path {
        &self.live
    }

    /// The path of a file in the log's directory.
    pub fn beside(&self, name: impl AsRef<Path>) -> PathBuf {
        self.live.with_file_name(name.as_ref())
    }

    /// Appends bytes in one write. Creates the log and its directory if they are missing.
    pub fn append(&mut self, bytes: &[u8]) {
        if self.open.is_none() {
            fs::create_dir_all(self.live.parent().unwrap()).unwrap();
            // Only its owner can read it, as lumberjack makes it.
            let file =
                |options: &mut fs::OpenOptions| options.create(true).mode(0o600).open(&self.live);
            self.open = Some(match self.opening {
                Opening::Append | Opening::EachTime => {
                    Open::Append(file(File::options().append(true)).unwrap())
                }
                Opening::Offset => {
                    let file = file(File::options().write(true).truncate(false)).unwrap();
                    let end = file.metadata().unwrap().len();
                    Open::Offset(file, end)
                }
            });
        }
        match self.open.as_mut().unwrap() {
            Open::Append(file) => file.write_all(bytes).unwrap(),
            Open::Offset(file, at) => {
                file.write_all_at(bytes, *at).unwrap();
                *at += bytes.len() as u64;
            }
        }
        if matches!(self.opening, Opening::EachTime) {
            self.open = None;
        }
    }

    /// Appends bytes in two writes, so that a reader may see a torn line.
    pub fn append_in_two(&mut self, bytes: &[u8]) {
        let (first, second) = bytes.split_at(bytes.len() / 3);
        self.append(first);
        self.append(second);
    }

    /// Renames the log to this name, and returns the path of the backup. The next write makes a new file.
    pub fn rotate(&mut self, name: impl AsRef<Path>) -> PathBuf {
        let backup = self.beside(name);
        fs::rename(&self.live, &backup).unwrap();
        self.open = None;
        backup
    }

    /// Rotates under the name that lumberjack gives a backup now.
    pub fn rotate_now(&mut self) -> PathBuf {
        self.rotate(backup_name(Timestamp::now()))
    }

    /// Makes a new, empty log, as the second part of a rotation.
    pub fn create(&mut self) {
        let mut options = File::options();
        options.write(true).create(true).truncate(true).mode(0o600);
        let file = options.open(&self.live).unwrap();
        self.open = match self.opening {
            Opening::EachTime => None,
            Opening::Append | Opening::Offset => Some(Open::Offset(file, 0)),
        };
    }

    /// Closes the file, like a restart of the API server. The next write opens the path.
    pub fn reopen(&mut self) {
        self.open = None;
    }

    /// Cuts the log after this many bytes; the writer does not notice it.
    pub fn truncate(&self, bytes: u64) {
        File::options().write(true).open(&self.live).unwrap().set_len(bytes).unwrap();
    }

    /// Like logrotate's `copytruncate`: copies the log to this name, and truncates it.
    pub fn copy_truncate(&self, name: &str) {
        fs::copy(&self.live, self.beside(name)).unwrap();
        self.truncate(0);
    }

    /// Like logrotate's `create` with numbered backups: the writer goes on in the file that it has open.
    pub fn rotate_numbered(&self) {
        let backup = |number: u32, end: &str| {
            let mut name = self.live.file_name().unwrap().to_owned();
            name.push(format!(".{number}{end}"));
            self.beside(name)
        };
        for number in (1..9).rev() {
            for end in ["", ".gz"] {
                let from = backup(number, end);
                if from.try_exists().unwrap() {
                    fs::rename(from, backup(number + 1, end)).unwrap();
                }
            }
        }
        fs::rename(&self.live, backup(1, "")).unwrap();
        File::create(&self.live).unwrap();
    }
}

/// How lumberjack names a backup of `audit.log` that was rotated at this time.
pub fn backup_name(rotated: Timestamp) -> String {
    rotated.strftime("audit-%Y-%m-%dT%H-%M-%S.%3f.log").to_string()
}

/// Bytes as one gzip member.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gz = GzEncoder::new(Vec::new(), Compression::default());
    gz.write_all(bytes).unwrap();
    gz.finish().unwrap()
}

/// The path of the compressed form of a backup.
pub fn gz_of(plain: &Path) -> PathBuf {
    let mut path = plain.as_os_str().to_owned();
    path.push(".gz");
    path.into()
}

/// Writes the `.gz` of a backup beside it, as far as `part` says; returns its path.
pub fn compress_beside(plain: &Path, part: Part) -> PathBuf {
    let (gz, bytes) = (gz_of(plain), gzip(&fs::read(plain).unwrap()));
    let end = match part {
        Part::Empty => 0,
        Part::Half => bytes.len() / 2,
        Part::Whole => bytes.len(),
    };
    fs::write(&gz, &bytes[..end]).unwrap();
    gz
}

/// How much of a compressed backup is there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Part {
    Empty,
    Half,
    Whole,
}

/// Compresses a backup as lumberjack does: writes the `.gz` under its final name, then deletes the backup. Returns the
/// path of the `.gz`.
pub fn compress(plain: &Path) -> PathBuf {
    let gz = compress_beside(plain, Part::Whole);
    fs::remove_file(plain).unwrap();
    gz
}

/// Dates a file back by an hour: nobody is still writing to it.
pub fn date_back(file: &Path) {
    let then = SystemTime::now() - Duration::from_hours(1);
    File::options().write(true).open(file).unwrap().set_modified(then).unwrap();
}
