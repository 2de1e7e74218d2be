//! A fixed script of what the API server does to its log: it writes events, rotates the log and compresses backups.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use kit::LogWriter;
use kit::log_writer::{compress, date_back, gz_of};

/// The condition for taking a step.
#[derive(Clone, Copy, Debug)]
pub(crate) enum When {
    Now,
    /// The file output holds every event written so far.
    Archived,
    /// Elasticsearch holds every event written so far.
    Indexed,
    /// The checkpoint says that every output has acknowledged every event written so far.
    Acknowledged,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Act {
    /// Creates a truncated gzip backup, older than the log.
    Damaged,
    /// Appends this many events.
    Write(usize),
    /// Appends an event that Loki refuses.
    Poison,
    /// Renames the log to a name with a time stamp.
    Rotate,
    /// Compresses the oldest plain backup into a file beside it, as the rotation library does, and unlinks it.
    Compress,
}

use Act::{Compress, Damaged, Poison, Rotate, Write};
use When::{Acknowledged, Archived, Indexed, Now};

pub(crate) const SCRIPT: &[(When, Act)] = &[
    (Now, Damaged),
    (Now, Write(4)),
    (Now, Rotate),
    (Now, Compress),
    (Now, Write(5)),
    // The steps up to here are taken before the first start.
    (Acknowledged, Write(2)),
    (Now, Poison),
    (Now, Write(2)),
    (Archived, Rotate),
    (Now, Write(5)),
    (Indexed, Compress),
    (Now, Write(3)),
    (Now, Rotate),
    (Now, Write(3)),
    (Acknowledged, Compress),
    (Now, Write(4)),
    (Now, Rotate),
    (Now, Compress),
    (Now, Write(3)),
];

/// How many steps are taken before the agent is first started.
pub(crate) const BEFORE: usize = 5;
/// How many events of the damaged backup can still be read. They are the first events, numbered from 0.
pub(crate) const SAVED: usize = 4;
pub(crate) const POISON: &str = "a-body-that-loki-refuses";

/// The log's directory, and the progress of the script.
pub(crate) struct Log {
    writer: LogWriter,
    pub(crate) done: usize,
    /// Numbers of all readable events written so far, in order.
    pub(crate) events: Vec<usize>,
    pub(crate) poison: Option<usize>,
    /// Decompressed bytes of these events.
    pub(crate) bytes: u64,
    backups: usize,
    plain: Vec<PathBuf>,
}

impl Log {
    /// Creates the log's directory below `root` and takes this many steps.
    pub(crate) fn new(root: &Path, steps: usize) -> Self {
        let dir = root.join("audit");
        fs::create_dir(&dir).unwrap();
        let mut log = Self {
            writer: LogWriter::new(dir.join("audit.log")),
            done: 0,
            events: Vec::new(),
            poison: None,
            bytes: 0,
            backups: 0,
            plain: Vec::new(),
        };
        (0..steps).for_each(|_| log.step());
        log
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.writer.live().to_owned()
    }

    /// The condition for the next step; `None` at the end of the script.
    pub(crate) fn next(&self) -> Option<When> {
        SCRIPT.get(self.done).map(|(when, _)| *when)
    }

    /// Takes the next step.
    pub(crate) fn step(&mut self) {
        // After the end of the script, each step writes one event.
        let act = SCRIPT.get(self.done).map_or(Write(1), |(_, act)| *act);
        self.done += 1;
        match act {
            Damaged => self.damaged(),
            Write(events) => (0..events).for_each(|_| self.append("")),
            Poison => {
                self.poison = Some(self.events.len());
                self.append(POISON);
            }
            Rotate => {
                let to = self.backup();
                self.plain.push(self.writer.rotate(to));
            }
            Compress => drop(compress(&self.plain.remove(0))),
        }
    }

    /// The name of the next backup.
    fn backup(&mut self) -> String {
        self.backups += 1;
        format!("audit-2026-11-21T07-{:02}-00.000.log", self.backups)
    }

    fn append(&mut self, body: &str) {
        let number = self.events.len();
        let line = event(number, body);
        self.writer.append(line.as_bytes());
        self.events.push(number);
        self.bytes += line.len() as u64;
    }

    fn damaged(&mut self) {
        let name = self.backup();
        let gz = gz_of(&self.writer.beside(name));
        let lines: Vec<_> = (0..SAVED).map(|number| event(number, "")).collect();
        let saved: usize = lines.iter().map(String::len).sum();
        // Stored without compression, so that the truncated file keeps exactly the events before the cut.
        let mut encoder = GzEncoder::new(Vec::new(), Compression::none());
        encoder.write_all(lines.concat().as_bytes()).unwrap();
        encoder.write_all(event(SAVED, "lost").as_bytes()).unwrap();
        let whole = encoder.finish().unwrap();
        // A gzip header of 10 bytes and the header of a stored block, 5 bytes, come before the events.
        fs::write(&gz, &whole[..10 + 5 + saved]).unwrap();
        date_back(&gz);
        self.events.extend(0..SAVED);
        self.bytes += saved as u64;
    }
}

/// The line of an event. It has some 6 KB, so that the file output is rotated now and then.
fn event(number: usize, body: &str) -> String {
    let time = format!("2026-11-21T06:{:02}:{:02}.000000Z", number / 60, number % 60);
    let pad = "x".repeat(6000);
    format!(
        "{{\"kind\":\"Event\",\"auditID\":\"{number}\",\"stage\":\"ResponseComplete\",\
         \"requestReceivedTimestamp\":\"{time}\",\"stageTimestamp\":\"{time}\",\
         \"requestObject\":{{\"data\":\"{body}{pad}\"}}}}\n"
    )
}
