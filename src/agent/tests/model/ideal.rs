//! The model knows which lines the API server has written, in which files they are, and so which events each output
//! must hold in the end. Pure: a step returns the changes of files that it means, and the caller makes them and
//! reports the result.

use std::collections::{BTreeMap, BTreeSet};

use super::step::{Gz, Step};

/// Bytes of the first half of an event.
pub(super) const TORN: u64 = 100;

/// The delivered form of a line, or of the rest of one.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Item {
    Whole(usize),
    /// A torn line: the first half of an event that was never finished.
    Torn(usize),
}

/// A change of the files in the log's directory.
#[derive(Clone, Debug)]
pub(super) enum Change {
    /// To the API server's open file.
    Append(Vec<u8>),
    Rename(String, String),
    /// The API server opens a new log.
    Create,
    CopyLive(String),
    /// Somebody else truncates the log. After a rotation the API server keeps its offset.
    Truncate,
    /// Writes this much of the compressed form of a backup.
    Gzip(String, Gz),
    /// Moves a file away, and back in two parts.
    Return(String),
    Unlink(String),
}

/// The bytes between two renames.
#[derive(Clone, Debug, Default)]
pub(super) struct Generation {
    /// Of the plain file; empty for the live log.
    name: String,
    gzip: bool,
    /// There is a `.gz` beside it.
    beside: bool,
    /// NUL bytes at its beginning.
    hole: u64,
    /// Each item with its bytes.
    pub(super) items: Vec<(Item, u64)>,
    /// `Some` if deleted: whether a link kept it.
    gone: Option<bool>,
}

#[derive(Clone, Default)]
pub(super) struct Ideal {
    pub(super) written: usize,
    venom: BTreeSet<usize>,
    live: Generation,
    /// An event that is written in half; whether its rest may still come.
    half: Option<(usize, bool)>,
    /// The offset at which the API server writes next, and whether it keeps that offset instead of appending.
    place: u64,
    keeps_place: bool,
    /// Oldest first.
    backups: Vec<Generation>,
    deleted: Vec<Generation>,
    /// Items that were written and then rolled back, if there was a rollback: the outputs may hold them.
    undone: Option<BTreeMap<Item, u64>>,
    /// Times of the last event and of the last backup.
    clock: (u64, u64),
}

/// The items that an output must hold, and those that it may hold.
#[derive(Debug, Default)]
pub(super) struct Expected {
    pub(super) must: BTreeSet<Item>,
    /// Items of backups that were deleted before they were read, by backup, with their bytes.
    pub(super) may: Vec<BTreeMap<Item, u64>>,
    /// Items that the HTTP outputs refuse.
    pub(super) venom: BTreeSet<Item>,
    /// NUL bytes that must be reported, and those in deleted backups.
    pub(super) holes: (u64, u64),
}

impl Ideal {
    /// The changes of files that a step means at a time in microseconds; none if the step is not possible now. The
    /// caller reports the deletion of a backup with [`Ideal::delete`].
    pub(super) fn step(&mut self, step: Step, now: u64) -> Vec<Change> {
        let changes = self.changes(step, now);
        let appended = changes.iter().map(|change| match change {
            Change::Append(bytes) => bytes.len() as u64,
            _ => 0,
        });
        self.place += appended.sum::<u64>();
        changes
    }

    fn changes(&mut self, step: Step, now: u64) -> Vec<Change> {
        match step {
            Step::Append(events) => {
                let mut changes = self.finish();
                changes.extend((0..events).map(|_| self.event("", now)));
                changes
            }
            Step::Venom => {
                let mut changes = self.finish();
                self.venom.insert(self.written);
                changes.push(self.event("venom", now));
                changes
            }
            Step::Begin if self.half.is_none() => {
                self.clock.0 = now.max(self.clock.0 + 1);
                self.half = Some((self.written, true));
                let line = line(self.written, "", self.clock.0);
                self.written += 1;
                vec![Change::Append(halves(&line).0)]
            }
            Step::Tear => {
                self.half = self.half.map(|(event, _)| (event, false));
                Vec::new()
            }
            Step::Rotate => self.rotate(now),
            Step::CopyTruncate => self.copy_truncate(),
            Step::Compress(which, gz) => self.compress(which, gz),
            Step::Return(which) => {
                let Some(backup) = self.pick(which).filter(|backup| !backup.gzip) else {
                    return Vec::new();
                };
                backup.gzip = true;
                vec![Change::Return(backup.name.clone())]
            }
            _ => Vec::new(),
        }
    }

    /// The files of a backup, if there is one.
    pub(super) fn files(&mut self, which: u8) -> Option<Vec<String>> {
        let backup = self.pick(which)?;
        let gz = format!("{}.gz", backup.name);
        Some(match (backup.gzip, backup.beside) {
            (true, _) => vec![gz],
            (false, true) => vec![gz, backup.name.clone()],
            (false, false) => vec![backup.name.clone()],
        })
    }

    /// A backup was deleted; `kept`: a link keeps it readable.
    pub(super) fn delete(&mut self, which: u8, kept: bool) {
        let at = usize::from(which) % self.backups.len();
        let backup = self.backups.remove(at);
        self.deleted.push(Generation { gone: Some(kept), ..backup });
    }

    /// The items of a backup.
    pub(super) fn items_of(&mut self, which: u8) -> Vec<Item> {
        let items = |backup: &mut Generation| backup.items.iter().map(|(item, _)| *item).collect();
        self.pick(which).map(items).unwrap_or_default()
    }

    pub(super) fn generations(&self) -> impl Iterator<Item = &Generation> {
        self.backups.iter().chain([&self.live]).chain(&self.deleted)
    }

    /// `refuses`: the output refuses venom.
    pub(super) fn expected(&self, refuses: bool) -> Expected {
        let mut expected =
            Expected { may: self.undone.iter().cloned().collect(), ..Expected::default() };
        let is_venom = |item: &Item| matches!(item, Item::Whole(event) if refuses && self.venom.contains(event));
        for generation in self.generations() {
            if generation.gone == Some(false) {
                expected.may.push(generation.items.iter().copied().collect());
                expected.holes.1 += generation.hole;
                continue;
            }
            expected.holes.0 += generation.hole;
            for (item, _) in &generation.items {
                let to = if is_venom(item) { &mut expected.venom } else { &mut expected.must };
                to.insert(*item);
            }
        }
        expected
    }

    /// Rolls the state directory back, and the log too if its older model is given.
    pub(super) fn roll_back(&mut self, log: Option<&Self>) {
        let mut undone = self.undone.take().unwrap_or_default();
        if let Some(saved) = log {
            let items = self.generations().flat_map(|generation| &generation.items);
            undone.extend(items.map(|(item, _)| (*item, 0)));
            undone.extend(self.half.map(|(event, _)| (Item::Torn(event), 0)));
            // No event is written twice, and the API server starts anew.
            let (written, clock) = (self.written, self.clock);
            let half = saved.half.map(|(event, _)| (event, false));
            *self = Self { written, clock, half, keeps_place: false, ..saved.clone() };
            self.place = 0;
        }
        self.undone = Some(undone);
    }

    pub(super) fn is_venom(&self, item: Item) -> bool {
        matches!(item, Item::Whole(event) if self.venom.contains(&event))
    }

    fn pick(&mut self, which: u8) -> Option<&mut Generation> {
        let count = self.backups.len();
        if count == 0 { None } else { self.backups.get_mut(usize::from(which) % count) }
    }

    /// Ends the line that was begun, if there is one.
    fn finish(&mut self) -> Vec<Change> {
        match self.half.take() {
            Some((event, true)) => {
                let line = line(event, "", self.clock.0);
                self.live.items.push((Item::Whole(event), line.len() as u64));
                vec![Change::Append(halves(&line).1)]
            }
            Some((event, false)) => {
                self.tear(event);
                Vec::new()
            }
            None => Vec::new(),
        }
    }

    fn tear(&mut self, event: usize) {
        self.live.items.push((Item::Torn(event), TORN));
    }

    fn event(&mut self, verb: &str, now: u64) -> Change {
        self.clock.0 = now.max(self.clock.0 + 1);
        let line = line(self.written, verb, self.clock.0);
        self.live.items.push((Item::Whole(self.written), line.len() as u64));
        self.written += 1;
        Change::Append(line)
    }

    /// A line that is not finished when its file is closed is torn.
    fn close(&mut self) -> Generation {
        if let Some((event, _)) = self.half.take() {
            self.tear(event);
        }
        std::mem::take(&mut self.live)
    }

    fn rotate(&mut self, now: u64) -> Vec<Change> {
        // The API server never rotates an empty log.
        if self.live.items.is_empty() && self.half.is_none() {
            return Vec::new();
        }
        self.clock.1 = (now / 1000).max(self.clock.1 + 1);
        let stamp = time(self.clock.1 * 1000).replace(':', "-");
        // To the millisecond, without the Z.
        let name = format!("audit-{}.log", &stamp[..stamp.len() - 4]);
        let generation = self.close();
        self.backups.push(Generation { name: name.clone(), ..generation });
        (self.place, self.keeps_place) = (0, true);
        vec![Change::Rename("audit.log".into(), name), Change::Create]
    }

    /// The numbers of the copies grow by one; the highest number is renamed first.
    fn copy_truncate(&mut self) -> Vec<Change> {
        if self.live.items.is_empty() && self.half.is_none() {
            return Vec::new();
        }
        let mut changes = Vec::new();
        // The first in the list has the highest number.
        for copy in &mut self.backups {
            let Some(number) = copy.name.strip_prefix("audit.log.") else { continue };
            let next = format!("audit.log.{}", number.parse::<u32>().unwrap() + 1);
            let mut rename = |end: &str| {
                changes.push(Change::Rename(format!("{}{end}", copy.name), format!("{next}{end}")));
            };
            if copy.gzip || copy.beside {
                rename(".gz");
            }
            if !copy.gzip {
                rename("");
            }
            copy.name = next;
        }
        let name = "audit.log.1".to_owned();
        let generation = self.close();
        self.backups.push(Generation { name: name.clone(), ..generation });
        if self.keeps_place {
            self.live.hole = self.place;
        } else {
            self.place = 0;
        }
        changes.extend([Change::CopyLive(name), Change::Truncate]);
        changes
    }

    fn compress(&mut self, which: u8, gz: Gz) -> Vec<Change> {
        let Some(backup) = self.pick(which).filter(|backup| !backup.gzip) else {
            return Vec::new();
        };
        backup.gzip = gz == Gz::Done;
        backup.beside = gz != Gz::Done;
        let mut changes = vec![Change::Gzip(backup.name.clone(), gz)];
        if gz == Gz::Done {
            changes.push(Change::Unlink(backup.name.clone()));
        }
        changes
    }
}

/// The line of an event.
fn line(event: usize, verb: &str, micros: u64) -> Vec<u8> {
    let time = time(micros);
    format!(
        "{{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io/v1\",\"auditID\":\"{event}\",\"stage\":\"ResponseComplete\",\"requestReceivedTimestamp\":\"{time}\",\"stageTimestamp\":\"{time}\",\"verb\":\"{verb}\",\"end\":\"z{event}z\"}}\n"
    )
    .into_bytes()
}

fn halves(line: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let (first, second) = line.split_at(usize::try_from(TORN).unwrap());
    (first.to_vec(), second.to_vec())
}

/// In the API server's format.
fn time(micros: u64) -> String {
    let micros = i64::try_from(micros).unwrap();
    jiff::Timestamp::from_microsecond(micros)
        .unwrap()
        .strftime("%Y-%m-%dT%H:%M:%S%.6fZ")
        .to_string()
}
