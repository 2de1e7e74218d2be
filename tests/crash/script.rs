//! What happens to the log, step by step, the same in every run: it grows, is rotated and compressed.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use flate2::Compression;
use flate2::write::GzEncoder;

/// What has to be before a step is taken.
#[derive(Clone, Copy, Debug)]
pub(crate) enum When {
    Now,
    /// The file output holds everything written so far.
    Archived,
    /// Elasticsearch does.
    Indexed,
    /// Every output has it, and the checkpoint says so.
    Acknowledged,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Act {
    /// A backup whose end is missing, there before anything else.
    Damaged,
    /// Appends so many events.
    Write(usize),
    /// Appends an event that Loki refuses.
    Poison,
    /// Renames the log to a stamp.
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
    // So far before the first start.
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

/// Steps that have been taken when the agent is first started.
pub(crate) const BEFORE: usize = 5;
/// Events of the damaged backup that can still be read. The first events have these numbers.
pub(crate) const SAVED: usize = 4;
pub(crate) const POISON: &str = "a-body-that-loki-refuses";

/// The log's directory, and how far the script has come in it.
pub(crate) struct Log {
    dir: PathBuf,
    pub(crate) done: usize,
    /// Numbers of the events written so far that can be read, in order.
    pub(crate) events: Vec<usize>,
    pub(crate) poison: Option<usize>,
    /// Bytes of these.
    pub(crate) bytes: u64,
    backups: usize,
    plain: Vec<PathBuf>,
}

impl Log {
    /// In a directory of this one, with so many steps taken.
    pub(crate) fn new(root: &Path, steps: usize) -> Self {
        let dir = root.join("audit");
        fs::create_dir(&dir).unwrap();
        let mut log = Self {
            dir,
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
        self.dir.join("audit.log")
    }

    /// What the next step waits for; `None` at the end.
    pub(crate) fn next(&self) -> Option<When> {
        SCRIPT.get(self.done).map(|(when, _)| *when)
    }

    /// Takes the next step.
    pub(crate) fn step(&mut self) {
        // After its end, one more event at a time.
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
                fs::rename(self.path(), &to).unwrap();
                self.plain.push(to);
            }
            Compress => {
                let plain = self.plain.remove(0);
                let gz = PathBuf::from(format!("{}.gz", plain.display()));
                let mut encoder = GzEncoder::new(File::create(gz).unwrap(), Compression::fast());
                encoder.write_all(&fs::read(&plain).unwrap()).unwrap();
                encoder.finish().unwrap();
                fs::remove_file(plain).unwrap();
            }
        }
    }

    /// The name of the next backup.
    fn backup(&mut self) -> PathBuf {
        self.backups += 1;
        self.dir.join(format!("audit-2026-11-21T07-{:02}-00.000.log", self.backups))
    }

    fn append(&mut self, body: &str) {
        let number = self.events.len();
        let line = event(number, body);
        let mut file = OpenOptions::new().create(true).append(true).open(self.path()).unwrap();
        file.write_all(line.as_bytes()).unwrap();
        self.events.push(number);
        self.bytes += line.len() as u64;
    }

    fn damaged(&mut self) {
        let mut gz = self.backup().into_os_string();
        gz.push(".gz");
        let lines: Vec<_> = (0..SAVED).map(|number| event(number, "")).collect();
        let saved: usize = lines.iter().map(String::len).sum();
        // Not compressed, so that a cut leaves just what stands before it.
        let mut encoder = GzEncoder::new(Vec::new(), Compression::none());
        encoder.write_all(lines.concat().as_bytes()).unwrap();
        encoder.write_all(event(SAVED, "lost").as_bytes()).unwrap();
        let whole = encoder.finish().unwrap();
        // Ten bytes of gzip's header and five of the block's stand before them.
        fs::write(&gz, &whole[..10 + 5 + saved]).unwrap();
        // Nobody is still writing to it.
        let long_ago = SystemTime::now() - Duration::from_hours(1);
        File::options().write(true).open(&gz).unwrap().set_modified(long_ago).unwrap();
        self.events.extend(0..SAVED);
        self.bytes += saved as u64;
    }
}

/// An event's line; some kilobytes, so that the file output is rotated now and then.
fn event(number: usize, body: &str) -> String {
    let time = format!("2026-11-21T06:{:02}:{:02}.000000Z", number / 60, number % 60);
    let pad = "x".repeat(6000);
    format!(
        "{{\"kind\":\"Event\",\"auditID\":\"{number}\",\"stage\":\"ResponseComplete\",\
         \"requestReceivedTimestamp\":\"{time}\",\"stageTimestamp\":\"{time}\",\
         \"requestObject\":{{\"data\":\"{body}{pad}\"}}}}\n"
    )
}
