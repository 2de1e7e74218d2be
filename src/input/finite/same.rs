//! Files with the same first event, and so the same fingerprint: duplicates, or different logs.
//!
//! A file is a copy if all of it is the beginning of another. Different logs must not share positions: one keeps the
//! fingerprint, and each other gets one derived from the first bytes in which it differs. The content decides which
//! one keeps it, not the names, so a later run gives the same result.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::super::pulse::Pulse;
use super::listed::Listed;
use crate::event::Fingerprint;
use crate::input::file::source::{Source, Trouble};

const WINDOW: usize = 64 << 10;
/// The most bytes after the first difference that enter the fingerprint.
const DIFFERENCE: usize = 4096;

/// Removes the copies, and gives each different log its own fingerprint.
pub(super) fn told_apart(files: Vec<Listed>) -> Vec<Listed> {
    let mut by_print = BTreeMap::<Fingerprint, Vec<Listed>>::new();
    for file in files {
        by_print.entry(file.fingerprint()).or_default().push(file);
    }
    let mut done = Vec::new();
    while let Some((_, group)) = by_print.pop_first() {
        let mut group = without_copies(group).into_iter();
        let Some(keeper) = group.next() else { continue };
        for mut other in group {
            let at = Difference::between(&keeper, &other).at;
            let fingerprint = derived(&other, at);
            Arc::make_mut(&mut other.generation).fingerprint = fingerprint;
            by_print.entry(fingerprint).or_default().push(other);
        }
        done.push(keeper);
    }
    done
}

/// The files of a group that are not copies; the one that keeps the fingerprint comes first.
fn without_copies(mut group: Vec<Listed>) -> Vec<Listed> {
    if group.len() < 2 {
        return group;
    }
    // A file is sorted directly before one that continues where it ends; of equal files the better one comes last.
    group.sort_by(|a, b| {
        let order = Difference::between(a, b).order;
        order
            .then_with(|| a.generation.rank().cmp(&b.generation.rank()))
            .then_with(|| b.path.cmp(&a.path))
    });
    let mut kept: Vec<Listed> = Vec::new();
    for mut file in group.into_iter().rev() {
        match kept.last_mut() {
            Some(longer) if Difference::between(&file, longer).is_beginning => {
                longer.copies.push(file.name());
                longer.copies.append(&mut file.copies);
            }
            _ => kept.push(file),
        }
    }
    kept.reverse();
    // The followed log keeps the fingerprint: its positions are those that the agent gives.
    kept.sort_by_key(|file| !file.is_live());
    kept
}

/// The result of comparing two files.
struct Difference {
    order: Ordering,
    /// Where they differ, or where the shorter one ends.
    at: u64,
    /// The first file is the beginning of the second.
    is_beginning: bool,
}

impl Difference {
    fn between(a: &Listed, b: &Listed) -> Self {
        let (mut a, mut b) = (FileText::of(a), FileText::of(b));
        let mut at = 0;
        loop {
            let (left, right) = (a.window(), b.window());
            let length = left.len().min(right.len());
            let same = left.iter().zip(right).take_while(|(a, b)| a == b).count();
            at += same as u64;
            if same < length || length == 0 {
                let order = left.get(same).cmp(&right.get(same));
                let ends = left.len() == same;
                return Self { order, at, is_beginning: ends && !a.failed };
            }
            a.consume(length);
            b.consume(length);
        }
    }
}

fn derived(file: &Listed, at: u64) -> Fingerprint {
    let mut text = FileText::of(file);
    let mut left = at;
    loop {
        let window = text.window();
        let step = usize::try_from(left).unwrap_or(usize::MAX).min(window.len());
        if step == 0 {
            break;
        }
        left -= step as u64;
        text.consume(step);
    }
    let mut rest = text.window().to_vec();
    // A window may end directly after the difference.
    text.consume(rest.len());
    rest.extend_from_slice(text.window());
    rest.truncate(DIFFERENCE);
    let line = memchr::memchr(b'\n', &rest).unwrap_or(rest.len());
    let hash = Sha256::new()
        .chain_update("another log with the same first event")
        .chain_update(file.fingerprint().0)
        .chain_update(at.to_be_bytes())
        .chain_update(&rest[..line]);
    Fingerprint::cut(&hash.finalize())
}

/// The decompressed content of a file, as far as it can be read.
struct FileText {
    source: Option<Source>,
    buffer: Vec<u8>,
    used: usize,
    /// A disk error prevented reading the rest.
    failed: bool,
}

impl FileText {
    fn of(file: &Listed) -> Self {
        let generation = &file.generation;
        let open = |held| Source::open(held, 0, &generation.probe, &Pulse::default());
        let opened = generation.open().map_err(Trouble::Io).and_then(open);
        let failed = matches!(opened, Err(Trouble::Io(_)));
        Self { source: opened.ok(), buffer: Vec::new(), used: 0, failed }
    }

    /// The next bytes; empty at the end or where damage begins.
    fn window(&mut self) -> &[u8] {
        if self.used == self.buffer.len()
            && let Some(source) = &mut self.source
        {
            self.buffer.clear();
            self.used = 0;
            let read = source.read(&mut self.buffer, WINDOW);
            if !matches!(read, Ok(1..)) {
                self.source = None;
            }
            self.failed |= matches!(read, Err(Trouble::Io(_)));
        }
        &self.buffer[self.used..]
    }

    fn consume(&mut self, length: usize) {
        self.used += length;
    }
}

/// The first bytes of a file's content. Damage ends them early; other errors are returned.
pub(super) fn beginning(file: &Listed, length: usize) -> Result<Vec<u8>, Trouble> {
    let generation = &file.generation;
    let mut source = Source::open(generation.open()?, 0, &generation.probe, &Pulse::default())?;
    let mut bytes = Vec::new();
    while bytes.len() < length {
        let room = length - bytes.len();
        match source.read(&mut bytes, room) {
            Ok(0) | Err(Trouble::Damaged { .. }) => break,
            Ok(_) => {}
            Err(other) => return Err(other),
        }
    }
    Ok(bytes)
}
