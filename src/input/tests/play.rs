//! Plays a script: what the server and people do to the files, and what a reader then finds.
//!
//! `|` separates commands. In the expected result, `|` separates the results of the readings.
//!
//! ```text
//! append a b-        the server writes: `a` an event; `a-` its first half, `-a` its second half and the newline,
//!                    `a.` all but the newline, `a~` with CRLF, `a*9` with a body of 9 bytes, `0*9` nine NULs,
//!                    `junk` `blank` `old:a`(text format) `undated:a`, `a@9` nine seconds after the others
//! rotate [N]         rename to the stamp N (by default the next), open a new file; `gzip [N]` compress and unlink
//! gzip-begun [N]     a partial .gz beside the plain file; `gzip-beside` a whole one
//! delete NAME        `chmod NAME MODE`, `cut NAME BYTES`, `move NAME NAME`, `copy NAME NAME`, `put NAME words`
//! copytruncate, logrotate, reopen
//! look               only a listing; `wait SECONDS` two with time between; `restart` from the acknowledged cursor
//! save               a checkpoint is written with the acknowledged cursor
//! read [N]           everything, or one chunk of at most N events; `peek` the same without acknowledging
//! ```
//! `N` stands for the backup with that stamp, `live` for the log.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use rustix::io::Errno;

use super::server::Server;
use crate::config::{Config, FollowedLog, StartAt, Waits};
use crate::disk::{FaultKind, plan};
use crate::event::{Cursor, Fingerprint, Form, Key, Nanos, RecordKind, SeenGenerations, Sightings};
use crate::input::file::generation::Generation;
use crate::input::hold::pins::{Kept, Pins};
use crate::input::now::Now;
use crate::input::read::open::FileReader;
use crate::input::read::position::ReadPosition;
use crate::input::scan::catalogue::Catalogue;
use crate::input::shared::Shared;
use crate::input::{Chunk, Gap, Large, Limits, Reader, ReaderItem};

const KEY: Key = Key([5; 32]);
pub(in crate::input) const LIMITS: Limits =
    Limits { bytes: 1 << 20, events: 5000, line_bytes: 100 << 20 };

/// Plays a script and compares the events read with the expected ones.
#[track_caller]
pub(super) fn check(script: &str, expected: &str) {
    check_with(LIMITS, script, expected);
}

#[track_caller]
pub(super) fn check_with(limits: Limits, script: &str, expected: &str) {
    let mut play = Play::new(limits, StartAt::Beginning);
    let found = play.script(script);
    assert_eq!(found, expected, "\n{script}\n{}", play.listing());
}

pub(super) struct Play {
    dir: tempfile::TempDir,
    server: Server,
    limits: Limits,
    start_at: StartAt,
    pub(super) started: Nanos,
    catalogue: Catalogue,
    shared: Arc<Shared>,
    roll: Arc<SeenGenerations>,
    pub(super) reader: Reader,
    /// The acknowledged cursor; `None` before the first look.
    pub(super) cursor: Option<Cursor>,
    clock: Instant,
    past: Duration,
    /// The id under which each event was read, from any file.
    ids: HashMap<String, String>,
    /// For each chunk, its events and the bytes of its generation that existed before.
    existed: Vec<(String, u64)>,
    /// For each chunk with events: whether it may have been delivered before its file was altered.
    pub(super) again: Vec<bool>,
    /// Every reported gap.
    pub(super) gaps: Vec<Gap>,
    /// The last look found that the log was moved away.
    pub(super) moved: bool,
    /// The file that the server writes to instead of the empty log, as of the last look.
    pub(super) not_reopened: Option<Arc<str>>,
    /// Files that the last look could not read.
    pub(super) unreadable: Vec<PathBuf>,
    /// The configuration with a hold budget, if a test uses links.
    hold: Option<FollowedLog>,
    pub(super) kept: Kept,
}

impl Play {
    pub(super) fn new(limits: Limits, start_at: StartAt) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("audit")).unwrap();
        let started = nanos("2026-11-21T06:30:00.000000Z");
        let roll = roll(Sightings::new());
        let (catalogue, shared, reader) =
            begin(&dir.path().join("audit/audit.log"), limits, None, &roll, start_at, started);
        Self {
            server: Server::new(&dir.path().join("audit")),
            dir,
            limits,
            start_at,
            started,
            catalogue,
            shared,
            roll,
            reader,
            cursor: None,
            clock: Instant::now(),
            past: Duration::ZERO,
            ids: HashMap::new(),
            existed: Vec::new(),
            again: Vec::new(),
            gaps: Vec::new(),
            moved: false,
            not_reopened: None,
            unreadable: Vec::new(),
            hold: None,
            kept: Kept::default(),
        }
    }

    /// Keeps needed generations with links. No generation counts as passed before the second call of [`Play::save`].
    pub(super) fn holding(mut self, max_bytes: u64) -> Self {
        let text = format!(
            "node = \"n\"\n[inputs.api]\ntype = \"file\"\npath = {:?}\n\
             hold = {{ max_bytes = {max_bytes}, min_free = \"0%\" }}\n\
             [outputs.o]\ntype = \"loki\"\nendpoint = \"http://h\"\n",
            self.path("live")
        );
        let config = Config::parse(&text, std::path::Path::new("t"), &|_| None).unwrap();
        self.hold = config.logs().next().cloned();
        self.hold_again();
        self
    }

    fn hold_again(&mut self) {
        if let Some(config) = &self.hold {
            let cursor = self.cursor.clone();
            self.shared.saved(&[cursor.as_ref()]);
            let names = [Arc::clone(&config.name)];
            let pins = Pins::new(config, &KEY, &names, Arc::clone(&self.shared));
            self.catalogue = Catalogue::new(&config.path, KEY)
                .with_pins(Some(pins))
                .remembering(Arc::clone(&self.roll));
        }
    }

    /// Writes a checkpoint with the acknowledged cursor.
    pub(super) fn save(&self) {
        self.shared.saved(&[self.cursor.as_ref()]);
    }

    /// The names of files in the hold directory, without those of the agent and the input.
    pub(super) fn links(&self) -> Vec<String> {
        let Ok(listing) = fs::read_dir(self.path(".auditrail-hold")) else { return Vec::new() };
        let name = |entry: std::io::Result<fs::DirEntry>| {
            entry.unwrap().file_name().into_string().unwrap()
        };
        let mut names: Vec<_> = listing.map(name).collect();
        names.sort();
        names
    }

    /// Names of the files that would be remembered across a restart.
    pub(super) fn known(&self) -> Vec<String> {
        self.roll.known().values().map(|sighting| sighting.file.to_string()).collect()
    }

    pub(super) fn existed(&self) -> Vec<(String, u64)> {
        self.existed.clone()
    }

    /// The results of the readings in a script.
    pub(super) fn script(&mut self, script: &str) -> String {
        let mut found = Vec::new();
        for command in script.split('|') {
            if let Some(read) = self.command(command.trim()) {
                found.push(read.join(" "));
            }
        }
        found.join(" | ")
    }

    pub(super) fn command(&mut self, command: &str) -> Option<Vec<String>> {
        let mut words = command.split_whitespace();
        let verb = words.next().unwrap();
        let rest: Vec<&str> = words.collect();
        let first = rest.first().copied();
        let number = first.and_then(|text| text.parse::<u64>().ok());
        if self.server.command(verb, &rest) {
            return None;
        }
        match verb {
            "look" => self.look(),
            "wait" => {
                self.look();
                self.past += Duration::from_secs(number.unwrap());
                self.look();
            }
            "save" => self.save(),
            "restart" => self.restart(),
            "read" | "peek" => return Some(self.read(number, verb == "read")),
            _ => panic!("no such command: {command}"),
        }
        None
    }

    /// Makes reads of a file fail with EACCES, as for a user without permission: root can read any file.
    pub(super) fn allow_reading(&self, name: &str, allowed: bool) {
        let times = if allowed { 0 } else { u64::MAX };
        plan(&self.path(name), FaultKind::Read, 0, times, Errno::ACCESS);
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.server.path(name)
    }

    pub(super) fn append(&mut self, bytes: &[u8]) {
        self.server.append(bytes);
    }

    pub(super) fn look(&mut self) {
        let now = self.now();
        let shared = Arc::clone(&self.shared);
        if let Ok(found) = self.catalogue.look(now, |fingerprint| shared.is_wanted(fingerprint)) {
            (self.moved, self.kept) = (found.moved, found.kept);
            self.not_reopened = found.not_reopened;
            self.unreadable = found.unreadable.into_iter().map(|(path, _)| path).collect();
            self.roll.note(found.generations.iter().map(|generation| generation.sighting()));
            self.shared.publish(found.generations, found.unknown.awaited, found.unknown.unsure);
        }
    }

    fn now(&self) -> Now {
        Now {
            steady: self.clock + self.past,
            wall: SystemTime::now() + self.past,
            waits: Waits::USUAL,
        }
    }

    /// Makes a change that the reader's view does not show yet.
    pub(super) fn without_look(&mut self, change: impl FnOnce(&mut Self)) {
        let (view, _) = self.shared.view();
        let generations = view.generations.iter().map(|generation| {
            let unheld = Generation { held: None, ..(**generation).clone() };
            Arc::new(unheld)
        });
        let generations = generations.collect();
        change(self);
        self.shared.publish(generations, false, false);
        let (view, _) = self.shared.view();
        let mut words = Vec::new();
        while let Some(news) = self.reader.poll(&view, self.now()) {
            self.take(news, true, &mut words);
        }
        assert_eq!(words, Vec::<String>::new());
    }

    pub(super) fn restart_with(&mut self, limits: Limits) {
        self.limits = limits;
        self.restart();
    }

    pub(super) fn restart(&mut self) {
        let json = serde_json::to_string(&self.cursor).unwrap();
        let cursor: Option<Cursor> = serde_json::from_str(&json).unwrap();
        let passed = |fingerprint: &Fingerprint| {
            cursor.as_ref().and_then(|cursor| Some(cursor.generations.get(fingerprint)?.complete))
        };
        let seen = self.roll.entry(|fingerprint| passed(fingerprint) == Some(true));
        let json = serde_json::to_string(&seen).unwrap();
        self.roll = roll(serde_json::from_str(&json).unwrap());
        (self.catalogue, self.shared, self.reader) =
            begin(&self.path("live"), self.limits, cursor, &self.roll, self.start_at, self.started);
        self.hold_again();
    }

    /// Reads everything, or one chunk.
    fn read(&mut self, events: Option<u64>, acknowledge: bool) -> Vec<String> {
        self.look();
        self.reader.files.limits.events =
            events.map_or(self.limits.events, |events| usize::try_from(events).unwrap());
        let mut words = Vec::new();
        loop {
            let (view, _) = self.shared.view();
            let Some(news) = self.reader.poll(&view, self.now()) else { break };
            if self.take(news, acknowledge, &mut words) && events.is_some() {
                break;
            }
        }
        words
    }

    /// Records an item that was read; `true` if it held an event.
    fn take(&mut self, news: ReaderItem, acknowledge: bool, words: &mut Vec<String>) -> bool {
        let cursor = self.cursor.get_or_insert_default();
        match news {
            ReaderItem::Rewound => panic!("nobody asked it to go back"),
            ReaderItem::Started(start) => {
                *cursor = start;
                false
            }
            ReaderItem::Gap(gap) => {
                words.push(format!("{}:{}", gap.reason, gap.bytes));
                self.gaps.push(gap.clone());
                if acknowledge {
                    cursor.generations.insert(gap.generation, gap.progress);
                }
                false
            }
            ReaderItem::Chunk(chunk) => {
                if acknowledge {
                    cursor.generations.insert(chunk.generation, chunk.progress.clone());
                }
                let before = words.len();
                self.describe(&chunk, words);
                self.existed.push((words[before..].join(" "), chunk.existed));
                if !chunk.batch.events.is_empty() {
                    self.again.push(chunk.again);
                }
                !chunk.batch.events.is_empty()
            }
        }
    }

    fn describe(&mut self, chunk: &Chunk, words: &mut Vec<String>) {
        let told = &chunk.told;
        if told.hole_bytes > 0 {
            words.push(format!("hole:{}", told.hole_bytes));
        }
        for index in 0..chunk.batch.events.len() {
            let record = chunk.batch.record(index);
            let id = record.text(record.event.fields.audit_id).map(String::from);
            let raw = || String::from_utf8_lossy(record.line).into_owned();
            let mut word = match (record.event.whole, record.event.form) {
                (RecordKind::Torn, _) => format!("~{}", id.unwrap_or_default()),
                (_, Form::Unreadable) => format!("?{}", raw()),
                _ => id.unwrap_or_else(raw),
            };
            if told.over_long > 0 {
                word.push('!');
            }
            let position = chunk.batch.position(index).id();
            let same = chunk.progress.alterations > 0
                || *self.ids.entry(word.clone()).or_insert_with(|| position.clone()) == position;
            if !same {
                word.push_str("(other id)");
            }
            words.push(word);
        }
    }

    pub(super) fn listing(&self) -> String {
        let mut files = BTreeMap::new();
        for entry in fs::read_dir(self.dir.path().join("audit")).unwrap() {
            let entry = entry.unwrap();
            files.insert(entry.file_name(), entry.metadata().unwrap().len());
        }
        let mut out = String::new();
        for (name, length) in files {
            writeln!(out, "{:>9} {}", length, name.display()).unwrap();
        }
        writeln!(out, "{}", serde_json::to_string_pretty(&self.cursor).unwrap()).unwrap();
        out
    }
}

fn roll(known: Sightings) -> Arc<SeenGenerations> {
    Arc::new(SeenGenerations::new("in".into(), known, || {}))
}

fn begin(
    live: &std::path::Path,
    limits: Limits,
    cursor: Option<Cursor>,
    roll: &Arc<SeenGenerations>,
    start_at: StartAt,
    started: Nanos,
) -> (Catalogue, Arc<Shared>, Reader) {
    let shared = Arc::<Shared>::default();
    let (wait, large) = (Duration::ZERO, Large::default());
    let files = FileReader::new(Arc::clone(&shared), KEY, limits, wait, large);
    let position = ReadPosition::new(cursor, start_at, started);
    let reader = Reader::new(Arc::clone(&shared), Arc::clone(roll), position, files);
    shared.register(reader.reading());
    (Catalogue::new(live, KEY).remembering(Arc::clone(roll)), shared, reader)
}

pub(super) fn nanos(text: &str) -> Nanos {
    crate::event::rfc3339(text.as_bytes()).unwrap()
}
