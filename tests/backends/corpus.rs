//! The recorded audit logs, copied to where an agent can follow them.

use std::env;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use kit::events::{Expected, expected};

/// One recorded log with its backups.
pub(crate) struct Recorded {
    pub(crate) name: String,
    /// The live log. One of the recordings has none.
    pub(crate) path: PathBuf,
    /// In the order of the files, oldest first.
    pub(crate) events: Vec<Expected>,
}

/// Copies every recorded log to a folder of its own below `dir`, and prints which recordings it uses: those of
/// `AUDITRAIL_CORPUS`, or `../shared/corpus` beside the project, or the one that ships with the project.
pub(crate) fn copy_all(dir: &Path) -> Vec<Recorded> {
    let folders = folders();
    println!("recorded logs: {folders:?}");
    folders.iter().map(|folder| copy(folder, dir)).collect()
}

fn folders() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let corpus = env::var_os("AUDITRAIL_CORPUS")
        .map_or_else(|| root.join("../shared/corpus"), PathBuf::from);
    let mut folders: Vec<PathBuf> = fs::read_dir(&corpus)
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    if folders.is_empty() { vec![root.join("etc/recorded/audit")] } else { folders }
}

fn copy(folder: &Path, dir: &Path) -> Recorded {
    let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
    let to = dir.join(&name);
    fs::create_dir_all(&to).unwrap();
    let mut events = Vec::new();
    for file in files(folder) {
        fs::copy(&file, to.join(file.file_name().unwrap())).unwrap();
        events.extend(expected(&read(&file).unwrap()));
    }
    assert!(!events.is_empty(), "{} holds no events", folder.display());
    Recorded { name, path: to.join("audit.log"), events }
}

/// The text of a log, decompressed if its name ends in `.gz`.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut file = File::open(path)?;
    if path.extension() == Some(OsStr::new("gz")) {
        MultiGzDecoder::new(file).read_to_end(&mut bytes)?;
    } else {
        file.read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

/// Recorded events as one plain file in `dir`, for a writer to replay: the recording with the most ordinary lines, or
/// any other if that is missing.
pub(crate) fn plain_file(dir: &Path) -> PathBuf {
    let folders = folders();
    let folder = folders.iter().find(|folder| folder.ends_with("metadata")).unwrap_or(&folders[0]);
    let plain = dir.join("recorded");
    let mut all = Vec::new();
    for file in files(folder) {
        all.append(&mut read(&file).unwrap());
    }
    fs::write(&plain, all).unwrap();
    plain
}

/// The files of a log, oldest first: `audit-<stamp>` sorts before `audit.log`. Other files in the folder are skipped.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().contains(".log"))
        .collect();
    files.sort();
    files
}
