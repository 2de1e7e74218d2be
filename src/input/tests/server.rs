//! What the server and people do to the files of a script: its commands that change files, and the bytes that its words
//! stand for.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kit::LogWriter;
use kit::log_writer::{Part, compress, compress_beside};

pub(super) struct Server {
    log: LogWriter,
    /// The stamp of the last backup.
    stamp: u64,
}

impl Server {
    pub(super) fn new(directory: &Path) -> Self {
        Self { log: LogWriter::at_own_offset(directory.join("audit.log")), stamp: 0 }
    }

    /// Carries out a command; `false` if it is none that changes files.
    pub(super) fn command(&mut self, verb: &str, rest: &[&str]) -> bool {
        let number = rest.first().and_then(|text| text.parse::<u64>().ok());
        match verb {
            "append" => rest.iter().for_each(|word| self.append(&text(word))),
            "rotate" => {
                self.stamp = number.unwrap_or(self.stamp + 1);
                self.log.rotate(self.path(&self.stamp.to_string()));
                self.log.create();
            }
            "gzip" => drop(compress(&self.backup(number))),
            "gzip-beside" => drop(compress_beside(&self.backup(number), Part::Whole)),
            "gzip-begun" => drop(compress_beside(&self.backup(number), Part::Half)),
            "delete" => fs::remove_file(self.path(rest[0])).unwrap(),
            "cut" => {
                let file = File::options().write(true).open(self.path(rest[0])).unwrap();
                let length = file.metadata().unwrap().len();
                file.set_len(length - rest[1].parse::<u64>().unwrap()).unwrap();
            }
            "chmod" => {
                let mode = u32::from_str_radix(rest[1], 8).unwrap();
                fs::set_permissions(self.path(rest[0]), fs::Permissions::from_mode(mode)).unwrap();
            }
            // Sets the modification time, in seconds after the first events, as in `append`.
            "written" => {
                let first: jiff::Timestamp = "2026-11-21T06:25:22Z".parse().unwrap();
                let at = first + Duration::from_secs(rest[1].parse().unwrap());
                let file = File::options().append(true).open(self.path(rest[0])).unwrap();
                file.set_modified(at.into()).unwrap();
            }
            "move" => fs::rename(self.path(rest[0]), self.path(rest[1])).unwrap(),
            "copy" => drop(fs::copy(self.path(rest[0]), self.path(rest[1])).unwrap()),
            "put" => {
                let bytes: Vec<u8> = rest[1..].iter().flat_map(|word| text(word)).collect();
                fs::write(self.path(rest[0]), bytes).unwrap();
            }
            "copytruncate" => self.log.copy_truncate("audit.log.1"),
            "logrotate" => self.log.rotate_numbered(),
            "reopen" => self.log.reopen(),
            _ => return false,
        }
        true
    }

    pub(super) fn append(&mut self, bytes: &[u8]) {
        self.log.append(bytes);
    }

    fn backup(&self, stamp: Option<u64>) -> PathBuf {
        self.path(&stamp.unwrap_or(self.stamp).to_string())
    }

    /// The file that a word of a script names.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        let name = match name {
            "live" => "audit.log".to_owned(),
            _ if name.ends_with("_gz") => {
                let plain = self.path(name.trim_end_matches("_gz"));
                format!("{}.gz", plain.file_name().unwrap().display())
            }
            _ => name.parse().map_or(name.to_owned(), |stamp: u64| {
                format!("audit-2026-11-21T06-28-{:02}.{:03}.log", stamp / 1000, stamp % 1000)
            }),
        };
        self.log.beside(name)
    }
}

/// An event as the server writes it.
pub(in crate::input) fn event(id: &str, body: usize) -> String {
    event_at(id, body, 0)
}

/// An event this many seconds after the others.
fn event_at(id: &str, body: usize, seconds: u64) -> String {
    let clock = |seconds: u64| format!("06:{:02}:{:02}", 25 + seconds / 60, seconds % 60);
    let time = clock(22 + seconds);
    let body = match body {
        0 => String::new(),
        // No two bodies end alike.
        body => {
            let text: String = id.chars().cycle().take(body).collect();
            format!(r#","requestObject":"{text}""#)
        }
    };
    // `a` is the first letter and so the oldest event.
    let micros = 612_771 - u32::from(b'a') + u32::from(*id.as_bytes().first().unwrap_or(&b'a'));
    format!(
        r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"{id}","stage":"ResponseComplete"{body},"requestReceivedTimestamp":"2026-11-21T{time}.533537Z","stageTimestamp":"2026-11-21T{time}.{micros}Z"}}"#
    )
}

/// The bytes that a word of `append` stands for.
fn text(word: &str) -> Vec<u8> {
    let half = 100;
    if let Some(id) = word.strip_prefix('-') {
        return [&event(id, 0).as_bytes()[half..], b"\n"].concat();
    }
    if let Some(id) = word.strip_suffix('-') {
        return event(id, 0).as_bytes()[..half].to_vec();
    }
    if let Some(id) = word.strip_suffix('.') {
        return event(id, 0).into_bytes();
    }
    if let Some(id) = word.strip_suffix('~') {
        return format!("{}\r\n", event(id, 0)).into_bytes();
    }
    if let Some((id, size)) = word.split_once('*') {
        let size = size.parse().unwrap();
        return if id == "0" {
            vec![0; size]
        } else {
            format!("{}\n", event(id, size)).into_bytes()
        };
    }
    if let Some((id, seconds)) = word.split_once('@') {
        return format!("{}\n", event_at(id, 0, seconds.parse().unwrap())).into_bytes();
    }
    match word.split_once(':') {
        Some(("old", id)) => {
            format!("2026-11-21T07:25:22.6+01:00 AUDIT: id=\"{id}\" stage=\"ResponseComplete\"\n")
                .into_bytes()
        }
        Some((_, id)) => format!("{{\"auditID\":\"{id}\"}}\n").into_bytes(),
        None if word == "blank" => b"\n".to_vec(),
        None if word == "junk" => b"junk\n".to_vec(),
        None => format!("{}\n", event(word, 0)).into_bytes(),
    }
}
