//! The model: what the server has written and where that is, and so what has to be at each output in the end. Pure: a
//! step gives the changes of files that it stands for, and who makes them says what it found.

use std::collections::{BTreeMap, BTreeSet};

use super::step::{Gz, Step};

/// Bytes of the first half of an event.
pub(super) const TORN: u64 = 100;

/// What one line, or what is left of it, is delivered as.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Item {
    Whole(usize),
    /// The first half of an event that was never finished.
    Torn(usize),
}

/// A change of the files in the log's directory.
#[derive(Clone, Debug)]
pub(super) enum Change {
    /// To the server's open file.
    Append(Vec<u8>),
    Rename(String, String),
    /// The server opens a new log.
    Create,
    CopyLive(String),
    /// By somebody else: the server keeps its place, once it has rotated.
    Truncate,
    /// So much of the compressed form of a backup under its name, for so long as it takes.
    Gzip(String, Gz),
    /// Away, and back in two parts.
    Return(String),
    Unlink(String),
}

/// The bytes between two renames.
#[derive(Clone, Debug, Default)]
pub(super) struct Generation {
    /// Of the plain file; none for the live one.
    name: String,
    gzip: bool,
    /// A `.gz` is beside it.
    beside: bool,
    /// NUL bytes at its beginning.
    hole: u64,
    /// With the bytes of each.
    pub(super) items: Vec<(Item, u64)>,
    /// Deleted; and whether something kept it.
    gone: Option<bool>,
}

#[derive(Clone, Default)]
pub(super) struct Ideal {
    pub(super) written: usize,
    venom: BTreeSet<usize>,
    live: Generation,
    /// An event that is half there; whether its rest may still come.
    half: Option<(usize, bool)>,
    /// Where the server writes next, and whether it would rather append.
    place: u64,
    keeps_place: bool,
    /// Oldest first.
    backups: Vec<Generation>,
    deleted: Vec<Generation>,
    /// What was written and rolled back, once anything was: it may be at the outputs.
    undone: Option<BTreeMap<Item, u64>>,
    /// Of the last event and of the last backup.
    clock: (u64, u64),
}

/// What has to be at an output, and what may be.
#[derive(Debug, Default)]
pub(super) struct Expected {
    pub(super) must: BTreeSet<Item>,
    /// Of backups that were deleted before they were read, by backup, with their bytes.
    pub(super) may: Vec<BTreeMap<Item, u64>>,
    /// Refused by outputs that refuse.
    pub(super) venom: BTreeSet<Item>,
    /// NUL bytes to be met, and those in backups that were deleted.
    pub(super) holes: (u64, u64),
}

impl Ideal {
    /// The changes that a step stands for at a moment, in microseconds; none where it makes no sense now. A backup's
    /// deletion is told by [`Ideal::delete`].
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
                let line = self.line(self.written, "", self.clock.0);
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

    /// The files of a backup, as long as there is one.
    pub(super) fn files(&mut self, which: u8) -> Option<Vec<String>> {
        let backup = self.pick(which)?;
        let gz = format!("{}.gz", backup.name);
        Some(match (backup.gzip, backup.beside) {
            (true, _) => vec![gz],
            (false, true) => vec![gz, backup.name.clone()],
            (false, false) => vec![backup.name.clone()],
        })
    }

    /// A backup was deleted; `kept`: something sees to it that it can be read all the same.
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

    /// `refuses`: it takes no venom.
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

    /// The state directory is as it was some time ago; and the log, if that is given, as it was then.
    pub(super) fn roll_back(&mut self, log: Option<&Self>) {
        let mut undone = self.undone.take().unwrap_or_default();
        if let Some(saved) = log {
            let items = self.generations().flat_map(|generation| &generation.items);
            undone.extend(items.map(|(item, _)| (*item, 0)));
            undone.extend(self.half.map(|(event, _)| (Item::Torn(event), 0)));
            // No event is written twice, and the server starts anew.
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

    /// Ends the line that was begun, if one was.
    fn finish(&mut self) -> Vec<Change> {
        match self.half.take() {
            Some((event, true)) => {
                let line = self.line(event, "", self.clock.0);
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
        let line = self.line(self.written, verb, self.clock.0);
        self.live.items.push((Item::Whole(self.written), line.len() as u64));
        self.written += 1;
        Change::Append(line)
    }

    #[expect(clippy::unused_self, reason = "reads as what it belongs to")]
    fn line(&self, event: usize, verb: &str, micros: u64) -> Vec<u8> {
        let time = time(micros);
        format!(
            "{{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io/v1\",\"auditID\":\"{event}\",\"stage\":\"ResponseComplete\",\"requestReceivedTimestamp\":\"{time}\",\"stageTimestamp\":\"{time}\",\"verb\":\"{verb}\",\"end\":\"z{event}z\"}}\n"
        )
        .into_bytes()
    }

    /// What was begun and not finished when a file was closed is torn.
    fn close(&mut self) -> Generation {
        if let Some((event, _)) = self.half.take() {
            self.tear(event);
        }
        std::mem::take(&mut self.live)
    }

    fn rotate(&mut self, now: u64) -> Vec<Change> {
        // The server never rotates an empty log.
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

    /// Copies move up by one, the newest first in number.
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

fn halves(line: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let (first, second) = line.split_at(usize::try_from(TORN).unwrap());
    (first.to_vec(), second.to_vec())
}

/// As the server writes it.
fn time(micros: u64) -> String {
    let micros = i64::try_from(micros).unwrap();
    jiff::Timestamp::from_microsecond(micros)
        .unwrap()
        .strftime("%Y-%m-%dT%H:%M:%S%.6fZ")
        .to_string()
}
