//! What leaves the node of an event: filter, policy, redaction, shrinking.
//!
//! | step | file | what it does |
//! |---|---|---|
//! | policy | `policy/`, `lower.rs` | an audit Policy, as if the API server had had it: drops events, lowers levels |
//! | `where` | `filter.rs` | leaves out what an expression does not want |
//! | managed fields | `managed_fields.rs` | removes the names of fields that say who set them last |
//! | redaction | `redact/` | blanks secrets |
//! | shrinking | `shrink/` | cuts what is larger than the output takes, and says so |
//!
//! The first two look at the event as the server wrote it; the others change bytes (`edit.rs`): what is not touched stays
//! as it was. The result is deterministic: the same event always becomes the same bytes, so that one sent twice is
//! recognised. Read [`Chain::apply`] first.

use std::sync::{Arc, PoisonError, RwLock};

mod edit;
mod filter;
mod level;
mod lower;
mod managed_fields;
mod members;
mod pending;
mod policy;
mod shrink;
mod tally;
#[cfg(test)]
mod record_tests;

use crate::event::{Batch, Event, Fields, Form, Key, Passed, Record, Span, Whole, pieces};
use edit::Edits;
use level::Level;
use lower::lower;
use managed_fields::omit_managed_fields;
pub(crate) use filter::Filter;
pub(crate) use pending::Redaction;
pub(crate) use policy::Policy;
use policy::Decision;
use shrink::shrink;

pub(crate) use shrink::MIN_LIMIT;

/// The steps of one output.
pub(crate) struct Chain {
    pub(crate) policy: Option<Arc<Policy>>,
    pub(crate) filter: Option<Filter>,
    pub(crate) redaction: Option<Redaction>,
    pub(crate) omit_managed_fields: bool,
    /// Bytes; at least [`MIN_LIMIT`].
    pub(crate) limit: Option<usize>,
    /// For digests of what was cut.
    pub(crate) key: Key,
}

/// What becomes of one event.
enum Fate {
    Same,
    /// The new line was appended.
    Changed,
    Dropped,
}

/// Kept from event to event, so that most cost no allocation.
#[derive(Default)]
struct Work {
    edits: Edits,
    /// A line that is yet to be shrunk.
    edited: Vec<u8>,
    /// The new lines, one behind the other.
    changed: Vec<u8>,
}

impl Chain {
    /// Whether every event passes as it is.
    pub(crate) fn is_idle(&self) -> bool {
        let Self { policy, filter, redaction, omit_managed_fields, limit, key: _ } = self;
        policy.is_none()
            && filter.is_none()
            && redaction.is_none()
            && !omit_managed_fields
            && limit.is_none()
    }

    /// Takes the events of a batch through all steps. Positions, times and the stretch of the batch stay.
    pub(crate) fn apply(&self, revision: u64, batch: &mut Batch) {
        let time = |event: Option<&Event>| event.map(|event| event.time);
        batch.passed = Passed {
            revision,
            first: time(batch.events.first()),
            last: time(batch.events.last()),
            read: batch.events.len() as u64,
            ..Passed::default()
        };
        if self.is_idle() {
            return;
        }
        let (mut work, mut passed) = (Work::default(), std::mem::take(&mut batch.passed));
        let mut kept = Vec::with_capacity(batch.events.len());
        for index in 0..batch.events.len() {
            let record = batch.record(index);
            let begin = work.changed.len();
            match self.event(&record, &mut work, &mut passed) {
                Fate::Dropped => {}
                Fate::Same => kept.push((*record.event, None)),
                Fate::Changed => {
                    let event = read_again(record.event, &work.changed[begin..]);
                    kept.push((event, Some(begin..work.changed.len())));
                }
            }
        }
        batch.passed = passed;
        if work.changed.is_empty() {
            batch.events = kept.into_iter().map(|(event, _)| event).collect();
            return;
        }
        let mut bytes = Vec::with_capacity(batch.bytes.len());
        batch.events.clear();
        for (mut event, changed) in kept {
            let begin = bytes.len();
            bytes.extend_from_slice(match changed {
                Some(range) => &work.changed[range],
                None => &batch.bytes[event.line.range()],
            });
            event.line = Span::new(begin, bytes.len());
            batch.events.push(event);
        }
        batch.bytes = bytes;
    }

    /// Takes one event through all steps.
    fn event(&self, record: &Record<'_>, work: &mut Work, passed: &mut Passed) -> Fate {
        // Ours, and nothing of it comes from the log.
        if record.event.whole == Whole::Gap {
            return Fate::Same;
        }
        let decision = self.policy.as_ref().map(|policy| policy.decide(record));
        if decision
            .as_ref()
            .is_some_and(|decision| decision.stage_omitted || decision.level == Level::None)
        {
            passed.dropped += 1;
            return Fate::Dropped;
        }
        if !self.is_wanted(record, passed) {
            passed.filtered += 1;
            return Fate::Dropped;
        }
        let edited = self.edit(record, decision.as_ref(), work, passed);
        let line = if edited { &*work.edited } else { record.line };
        let shrunk = self
            .limit
            .and_then(|limit| shrink(line, record.line, limit, &self.key, &mut work.changed));
        if shrunk.is_some() {
            passed.shrunk += 1;
        } else if edited {
            work.changed.extend_from_slice(&work.edited);
        } else {
            return Fate::Same;
        }
        Fate::Changed
    }

    /// What `where` says. What it fails on is kept: an audit trail errs on the side of shipping.
    fn is_wanted(&self, record: &Record<'_>, passed: &mut Passed) -> bool {
        let Some(filter) = &self.filter else { return true };
        filter.keeps(record).unwrap_or_else(|problem| {
            passed.undecided += 1;
            passed.problem = Some(problem);
            true
        })
    }

    /// Writes what the event becomes before it is shrunk into `work.edited`; `false` if that is what it was.
    fn edit(
        &self,
        record: &Record<'_>,
        decision: Option<&Decision>,
        work: &mut Work,
        passed: &mut Passed,
    ) -> bool {
        work.edits.clear();
        work.edited.clear();
        if record.event.form == Form::Unreadable {
            let Some(redaction) = &self.redaction else { return false };
            redaction.extract(record, &mut work.edited);
            passed.redacted += 1;
            return true;
        }
        if let Some(decision) = decision
            && lower_to(record, decision.level).is_some_and(|to| {
                lower(record, to, &mut work.edits);
                true
            })
        {
            passed.lowered += 1;
        }
        if self.omit_managed_fields || decision.is_some_and(|decision| decision.omit_managed_fields)
        {
            omit_managed_fields(record, &mut work.edits);
        }
        if let Some(redaction) = &self.redaction {
            let before = work.edits.len();
            redaction.edits(record, &mut work.edits);
            passed.redacted += u64::from(work.edits.len() > before);
        }
        if work.edits.is_empty() {
            return false;
        }
        work.edits.apply(record.line, &mut work.edited);
        true
    }
}

/// The level that an event is to be lowered to, if it has a higher one.
fn lower_to(record: &Record<'_>, to: Level) -> Option<Level> {
    let level = Level::parse(&record.text(record.event.fields.level)?)?;
    (to < level).then_some(to)
}

/// An event whose line was changed: the same, with its fields where they stand now.
fn read_again(event: &Event, line: &[u8]) -> Event {
    let mut event = *event;
    let mut found = None;
    pieces(line, true, |piece| found = found.is_none().then_some(piece));
    if let Some(piece) = found.filter(|piece| piece.at.range() == (0..line.len())) {
        (event.form, event.fields, event.depth) = (piece.form, piece.fields, piece.depth);
    } else {
        // No step makes such a line of a whole one. It goes out as something that nobody can read.
        (event.form, event.fields) = (Form::Unreadable, Fields::default());
    }
    event
}

/// The chain of one output as it is now; a reload puts another in its place.
pub(crate) struct Current {
    chain: RwLock<(Arc<Chain>, u64)>,
}

impl Current {
    pub(crate) fn new(chain: Chain) -> Self {
        Self { chain: RwLock::new((Arc::new(chain), 0)) }
    }

    /// The chain, and how often it was replaced: events taken through another one are not the same events.
    pub(crate) fn chain(&self) -> (Arc<Chain>, u64) {
        let held = self.chain.read().unwrap_or_else(PoisonError::into_inner);
        (Arc::clone(&held.0), held.1)
    }

    pub(crate) fn replace(&self, chain: Chain) {
        let mut held = self.chain.write().unwrap_or_else(PoisonError::into_inner);
        *held = (Arc::new(chain), held.1 + 1);
    }
}
