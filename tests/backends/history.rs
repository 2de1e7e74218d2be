//! A log of many hours with its backups, as in a restored snapshot, made of recorded events.

use std::fs;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};

use crate::corpus;
use kit::events::{Expected, expected};
use kit::log_writer::{backup_name, gz_of, gzip};

/// Backups in a folder, and their events.
pub(crate) struct History {
    pub(crate) dir: PathBuf,
    /// Oldest first.
    pub(crate) files: Vec<PathBuf>,
    pub(crate) events: Vec<Expected>,
}

impl History {
    /// Writes `count` backups of `events` events each, an hour and a half apart; the last was rotated `ended` ago. Each
    /// event has an auditID of its own.
    pub(crate) fn write(dir: &Path, count: i32, events: usize, ended: SignedDuration) -> Self {
        let folder = dir.join("history");
        fs::create_dir_all(&folder).unwrap();
        let recorded = fs::read(corpus::plain_file(dir)).unwrap();
        let mut recorded = expected(&recorded);
        recorded.retain(|event| event.line.len() < 200_000 && event.line.is_ascii());
        let (mut files, mut all, mut number) = (Vec::new(), Vec::new(), 0_usize);
        let rotation = SignedDuration::from_mins(90);
        for file in (0..count).rev() {
            let rotated = Timestamp::now() - ended - rotation * file;
            let begun = rotated - rotation;
            let step = rotation / i32::try_from(events).unwrap();
            let mut text = Vec::new();
            for index in 0..events {
                let at = begun + step * i32::try_from(index).unwrap();
                let event = &recorded[number % recorded.len()];
                text.extend(redated(event, at, number).into_bytes());
                text.push(b'\n');
                number += 1;
            }
            let path = gz_of(&folder.join(backup_name(rotated)));
            fs::write(&path, gzip(&text)).unwrap();
            all.extend(expected(&text));
            files.push(path);
        }
        Self { dir: folder, files, events: all }
    }
}

/// The event at another time, under another auditID.
fn redated(event: &Expected, at: Timestamp, number: usize) -> String {
    let time = at.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string();
    let id = format!(
        "{:08x}-0000-4000-8000-{number:012x}",
        number.wrapping_mul(0x9e37_79b9) & 0xffff_ffff
    );
    let stage = format!("\"stageTimestamp\":\"{}\"", event.stage_timestamp);
    event.line.replace(&stage, &format!("\"stageTimestamp\":\"{time}\"")).replacen(
        &format!("\"auditID\":\"{}\"", event.audit_id),
        &format!("\"auditID\":\"{id}\""),
        1,
    )
}
