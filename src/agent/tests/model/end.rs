//! The end of a play, and the conditions that must hold then.

use std::collections::BTreeMap;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use super::ideal::{Expected, Item};
use super::play::Play;
use super::setup::name;
use super::step::{Kind, Step};
use super::told::{self, Told};

impl Play<'_> {
    /// No more faults from now on: waits for all events that must arrive, and for one last event.
    pub(super) fn end(&mut self) -> Result<(), String> {
        for store in self.stores.values() {
            let mut state = store.state();
            state.script.clear();
            state.look_ups.clear();
            state.always = None;
        }
        self.mend_disk();
        self.revive()?;
        if self.script.has_faults() {
            // Only a new process writes again to a file that could not be synced (fsync).
            self.stop()?;
        }
        self.start();
        self.all_arrived()?;
        if !self.stop()? {
            return Err("it did not end in time, with nothing in its way".to_owned());
        }
        // It is read and sent after everything older.
        self.step(Step::Append(1))?;
        self.start();
        self.all_arrived()?;
        if !self.stop()? {
            return Err("it did not end in time, with nothing in its way".to_owned());
        }
        for kind in &self.script.outputs {
            self.compare(*kind).map_err(|what| format!("{kind:?}: {what}"))?;
        }
        self.compare_gaps()
    }

    fn all_arrived(&mut self) -> Result<(), String> {
        let script = self.script;
        for kind in &script.outputs {
            let (mut since, mut missed) = (Instant::now(), usize::MAX);
            loop {
                self.revive()?;
                let missing = self.missing(*kind)?;
                if missing.is_empty() {
                    break;
                }
                if missing.len() != missed {
                    (since, missed) = (Instant::now(), missing.len());
                }
                if since.elapsed() > self.patience {
                    return Err(format!("{kind:?}: never came: {missing:?}"));
                }
                thread::sleep(Duration::from_millis(2));
            }
        }
        Ok(())
    }

    /// Whether every output has all of a backup.
    pub(super) fn is_everywhere(&mut self, which: u8) -> Result<bool, String> {
        let items = self.ideal.items_of(which);
        for kind in &self.script.outputs {
            let (arrived, refused) = (self.arrived(*kind)?, self.refused(*kind));
            if items.iter().any(|item| !arrived.contains(item) && !refused.contains(item)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn missing(&self, kind: Kind) -> Result<Vec<Item>, String> {
        let Expected { must, venom, .. } = self.ideal.expected(kind != Kind::Archive);
        let (arrived, refused) = (self.arrived(kind)?, self.refused(kind));
        let missing = must.into_iter().filter(|item| !arrived.contains(item));
        Ok(missing.chain(venom.into_iter().filter(|item| !refused.contains(item))).collect())
    }

    fn compare(&self, kind: Kind) -> Result<(), String> {
        let expected = self.ideal.expected(kind != Kind::Archive);
        let may = |item: &Item| expected.may.iter().any(|backup| backup.contains_key(item));
        let refusable = |item: &Item| {
            expected.venom.contains(item)
                || (kind != Kind::Archive && self.ideal.is_venom(*item) && may(item))
        };
        let arrived = self.arrived(kind)?;
        once(&arrived)?;
        let steps = &self.script.steps;
        let forgets = |step: &&Step| matches!(step, Step::Spoil | Step::RollBack(_));
        let spoilt = steps.iter().filter(forgets).count() as u64;
        let killed =
            spoilt > 0 || steps.iter().any(|step| matches!(step, Step::Kill(_) | Step::Fault(..)));
        let told = self.told(kind);
        if self.script.rolls_back() {
            // Nobody knows which losses were reported in a history that was rolled back.
            told::once(&told)?;
        } else {
            told::compare(&told, &arrived, &expected, killed, spoilt)?;
        }
        if let Some(item) = arrived.iter().find(|item| !expected.must.contains(item) && !may(item))
        {
            return Err(format!("came, and should not: {item:?}"));
        }
        let refused = self.refused(kind);
        once(&refused)?;
        if let Some(item) = refused.iter().find(|item| !refusable(item)) {
            return Err(format!("was put aside, and should not: {item:?}"));
        }
        if kind == Kind::Archive {
            // A file keeps the order.
            self.in_order(&arrived)?;
        }
        Ok(())
    }

    fn in_order(&self, arrived: &[Item]) -> Result<(), String> {
        for generation in self.ideal.generations() {
            let places = generation
                .items
                .iter()
                .filter_map(|(item, _)| arrived.iter().position(|other| other == item));
            if !places.is_sorted() {
                return Err(format!("not in order: {:?} of {arrived:?}", generation.items));
            }
        }
        Ok(())
    }

    fn compare_gaps(&self) -> Result<(), String> {
        let no_loss = self.ideal.expected(false).may.is_empty();
        for reason in ["damaged_gzip", "truncated", "over_long_line"] {
            if let Some((times, bytes)) = self.gaps.get(reason).filter(|(times, _)| *times > 0) {
                return Err(format!("{reason} was told {times} times, {bytes} bytes"));
            }
        }
        match self.gaps.get("backup_gone") {
            Some((_, bytes)) if no_loss && *bytes > 0 => {
                Err(format!("{bytes} bytes were told to be lost, and nothing is"))
            }
            _ => Ok(()),
        }
    }

    fn lines(&self, kind: Kind) -> Vec<String> {
        match self.stores.get(&kind) {
            Some(store) => store.state().stored.iter().map(|stored| stored.line.clone()).collect(),
            None => fs::read_to_string(self.archive())
                .map(|text| text.lines().map(str::to_owned).collect())
                .unwrap_or_default(),
        }
    }

    fn arrived(&self, kind: Kind) -> Result<Vec<Item>, String> {
        let lines = self.lines(kind);
        let events = lines.iter().filter(|line| told::told(line).is_none());
        events.map(|line| item(line).ok_or_else(|| format!("no event: {line:.300}"))).collect()
    }

    fn told(&self, kind: Kind) -> Vec<Told> {
        self.lines(kind).iter().filter_map(|line| told::told(line)).collect()
    }

    fn refused(&self, kind: Kind) -> Vec<Item> {
        let letters = self.node.letters(name(kind));
        letters.iter().filter_map(|letter| item(&letter.0)).collect()
    }
}

/// The item in a stored line or document.
fn item(line: &str) -> Option<Item> {
    let (_, rest) = line.split_once("auditID")?;
    let digits = rest.trim_start_matches(|c: char| !c.is_ascii_digit());
    let event = digits.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()?;
    let whole = line.contains(&format!("z{event}z"));
    Some(if whole { Item::Whole(event) } else { Item::Torn(event) })
}

fn once(items: &[Item]) -> Result<(), String> {
    let mut counts = BTreeMap::<Item, u32>::new();
    for item in items {
        *counts.entry(*item).or_default() += 1;
    }
    counts.retain(|_, times| *times > 1);
    if counts.is_empty() { Ok(()) } else { Err(format!("more than once: {counts:?}")) }
}
