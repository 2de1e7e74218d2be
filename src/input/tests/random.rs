//! Random scripts compared with a model: whatever is done to the files, each run reads each event exactly once, in
//! order within its generation, and always under the same id.
//!
//! `PROPTEST_CASES` sets the number of scripts. A failing one is printed as a script for `check`.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::sample::Index;

use super::play::{LIMITS, Play};
use crate::config::StartAt;
use crate::event::Cursor;
use crate::input::Limits;

#[derive(Clone, Copy, Debug)]
enum Act {
    Append(u8),
    /// Writes half a line.
    Begin,
    Rotate,
    Gzip(Index),
    GzipBegun(Index),
    /// Deletes a backup that was read to its end.
    Delete(Index),
    Look,
    Read(u8),
    ReadAll,
    Wait,
    /// Restarts from any cursor that was ever acknowledged.
    Restart(Index),
}

fn act() -> impl Strategy<Value = Act> {
    let index = any::<Index>;
    prop_oneof![
        6 => (1..5_u8).prop_map(Act::Append),
        1 => Just(Act::Begin),
        3 => Just(Act::Rotate),
        2 => index().prop_map(Act::Gzip),
        1 => index().prop_map(Act::GzipBegun),
        1 => index().prop_map(Act::Delete),
        1 => Just(Act::Look),
        4 => (1..6_u8).prop_map(Act::Read),
        2 => Just(Act::ReadAll),
        1 => Just(Act::Wait),
        2 => index().prop_map(Act::Restart),
    ]
}

/// A generation as the server wrote it.
#[derive(Default)]
struct Written {
    stamp: u64,
    /// The events to be read from it, in order.
    events: Vec<String>,
    plain: bool,
    begun: bool,
}

struct Model {
    play: Play,
    script: Vec<String>,
    count: usize,
    /// A line is unfinished.
    partial: bool,
    live: Vec<String>,
    backups: Vec<Written>,
    /// Events of backups that were deleted.
    gone: BTreeSet<String>,
    /// The events that this run, and the cursor it started from, have read.
    seen: BTreeSet<String>,
    last: BTreeMap<usize, usize>,
    cursors: Vec<(Option<Cursor>, BTreeSet<String>)>,
}

impl Model {
    fn new(limits: Limits) -> Self {
        Self {
            play: Play::new(limits, StartAt::Beginning),
            script: Vec::new(),
            count: 0,
            partial: false,
            live: Vec::new(),
            backups: Vec::new(),
            gone: BTreeSet::new(),
            seen: BTreeSet::new(),
            last: BTreeMap::new(),
            cursors: vec![(None, BTreeSet::new())],
        }
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Append(events) => {
                let mut words = Vec::new();
                if std::mem::take(&mut self.partial) {
                    words.push(format!("-{}", self.count));
                    self.live.push(self.count.to_string());
                }
                for _ in 0..events {
                    self.count += 1;
                    words.push(self.count.to_string());
                    self.live.push(self.count.to_string());
                }
                self.command(&format!("append {}", words.join(" ")));
            }
            Act::Begin if !self.partial => {
                self.count += 1;
                self.partial = true;
                self.command(&format!("append {}-", self.count));
            }
            // The server never rotates an empty log.
            Act::Rotate if self.partial || !self.live.is_empty() => self.rotate(),
            Act::Gzip(index) => {
                let Some(backup) = self.pick(index, |backup| backup.plain) else { return };
                backup.plain = false;
                let stamp = backup.stamp;
                self.command(&format!("gzip {stamp}"));
            }
            Act::GzipBegun(index) => {
                let Some(backup) = self.pick(index, |backup| backup.plain) else { return };
                backup.begun = true;
                let stamp = backup.stamp;
                self.command(&format!("gzip-begun {stamp}"));
            }
            Act::Delete(index) => self.delete(index),
            Act::Look => self.command("look"),
            Act::Read(events) => self.read(&format!("read {events}")),
            Act::ReadAll => self.read("read"),
            Act::Wait => self.command("wait 3"),
            Act::Restart(index) => {
                let (cursor, seen) = self.cursors[index.index(self.cursors.len())].clone();
                self.script.push("restart".into());
                (self.play.cursor, self.seen) = (cursor, seen);
                self.last.clear();
                self.play.restart();
            }
            Act::Begin | Act::Rotate => {}
        }
    }

    fn rotate(&mut self) {
        let mut events = std::mem::take(&mut self.live);
        if std::mem::take(&mut self.partial) {
            events.push(format!("~{}", self.count));
        }
        let stamp = self.backups.last().map_or(0, |backup| backup.stamp) + 1;
        self.backups.push(Written { stamp, events, plain: true, begun: false });
        self.command(&format!("rotate {stamp}"));
    }

    fn delete(&mut self, index: Index) {
        let seen = std::mem::take(&mut self.seen);
        let read = |backup: &Written| backup.events.iter().all(|event| seen.contains(event));
        let found = self.pick(index, read).map(|backup| {
            let (plain, begun) = (backup.plain, std::mem::take(&mut backup.begun));
            let events = std::mem::take(&mut backup.events);
            (backup.stamp, plain, begun, events)
        });
        self.seen = seen;
        let Some((stamp, plain, begun, events)) = found else { return };
        self.gone.extend(events);
        let gz = self.play.path(&stamp.to_string()).with_extension("log.gz");
        let gz = gz.file_name().unwrap().to_string_lossy().into_owned();
        if plain {
            self.command(&format!("delete {stamp}"));
        }
        if !plain || begun {
            self.command(&format!("delete {gz}"));
        }
        // Earlier cursors have not passed it.
        self.cursors = vec![(self.play.cursor.clone(), self.seen.clone())];
    }

    fn pick(&mut self, index: Index, fit: impl Fn(&Written) -> bool) -> Option<&mut Written> {
        let fits = |backup: &&mut Written| !backup.events.is_empty() && fit(backup);
        let mut backups: Vec<_> = self.backups.iter_mut().filter(fits).collect();
        if backups.is_empty() {
            None
        } else {
            Some(backups.swap_remove(index.index(backups.len())))
        }
    }

    fn command(&mut self, command: &str) {
        self.script.push(command.to_owned());
        self.play.command(command);
    }

    fn read(&mut self, command: &str) {
        self.script.push(command.to_owned());
        for word in self.play.command(command).unwrap() {
            if word.contains(':') {
                // A gap: nobody can know that a deleted file was read completely.
                assert!(word == "backup_gone:0" && !self.gone.is_empty(), "{word}\n{self}");
                continue;
            }
            let generations = self.backups.iter().map(|backup| &backup.events);
            let found = generations.chain([&self.live]).enumerate().find_map(|(at, events)| {
                let place = events.iter().position(|event| *event == word)?;
                Some((at, place))
            });
            let Some((generation, place)) = found else { panic!("{word} was not written\n{self}") };
            assert!(self.seen.insert(word.clone()), "{word} was read twice\n{self}");
            let before = self.last.insert(generation, place);
            assert!(before.is_none_or(|before| before < place), "{word} comes too late\n{self}");
        }
        self.cursors.push((self.play.cursor.clone(), self.seen.clone()));
    }

    fn end(&mut self) {
        for command in ["read", "wait 3", "read", "wait 3", "read"] {
            if command == "read" { self.read(command) } else { self.command(command) }
        }
        let written = self.backups.iter().flat_map(|backup| &backup.events).chain(&self.live);
        for event in written {
            assert!(self.seen.contains(event), "{event} was never read\n{self}");
        }
    }
}

impl std::fmt::Display for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}\n{}", self.script.join(" | "), self.play.listing())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_event_is_read_once_whatever_happens_to_the_files(
        acts in prop::collection::vec(act(), 1..40),
        small in any::<bool>(),
    ) {
        let limits = if small { Limits { bytes: 500, ..LIMITS } } else { LIMITS };
        let mut model = Model::new(limits);
        for act in acts {
            model.act(act);
        }
        model.end();
    }
}

fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(150)
}
