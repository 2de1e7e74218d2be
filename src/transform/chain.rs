//! The steps of one output, one after the other.

use std::ops::Range;
use std::sync::Arc;

use super::edit::Edits;
use super::level::Level;
use super::lower::lower;
use super::managed_fields::omit_managed_fields;
use super::policy::Decision;
use super::preview::{Done, Dropped};
use super::redact::Scratch;
use super::shrink::shrink;
use super::{Filter, Policy, Redaction, TransformPreview};
use crate::event::{
    Batch, Event, Fields, Form, Key, Record, RecordKind, Span, TransformStats, pieces,
};

/// See the module. What is `None` or false is left out.
pub(crate) struct Chain {
    pub(crate) policy: Option<Arc<Policy>>,
    /// An event has to pass all of them.
    pub(crate) filters: Vec<Filter>,
    pub(crate) redaction: Option<Redaction>,
    pub(crate) omit_managed_fields: bool,
    /// Bytes of an event.
    pub(crate) limit: Option<usize>,
    /// For digests of what was cut.
    pub(crate) key: Key,
}

/// Bytes of new lines for which there is room from batch to batch.
const ROOM: usize = 1 << 20;
/// A batch may keep the old lines of its events beside the new ones if those are at most this part of it.
const WASTE: usize = 4;

/// What becomes of one event.
enum EventOutcome {
    Same,
    /// The new line was appended.
    Changed,
    Dropped,
}

/// Kept from event to event, so that most cost no allocation.
#[derive(Default)]
struct TransformBuffers {
    edits: Edits,
    /// The new lines, one behind the other.
    changed: Vec<u8>,
    /// Of each the index of its event, and where it stands.
    lines: Vec<(usize, Range<usize>)>,
    /// Why `where` failed, the last time it did.
    problem: Option<String>,
    scratch: Scratch,
}

impl TransformBuffers {
    /// Gives a batch its new lines. Those that stay as they are stand where they stood, unless that wastes too much memory.
    fn hand_over(&mut self, batch: &mut Batch) {
        if let ([event], [_]) = (&mut *batch.events, &*self.lines) {
            // It may be a line of many megabytes, which is not copied once more.
            event.line = Span::new(0, self.changed.len());
            batch.bytes = std::mem::take(&mut self.changed);
            return;
        }
        if self.changed.len() <= batch.bytes.len() / WASTE {
            let begin = batch.bytes.len();
            batch.bytes.extend_from_slice(&self.changed);
            for (index, line) in &self.lines {
                batch.events[*index].line = Span::new(begin + line.start, begin + line.end);
            }
            return;
        }
        let mut bytes = Vec::with_capacity(batch.bytes.len());
        let mut lines = self.lines.iter().peekable();
        for (index, event) in batch.events.iter_mut().enumerate() {
            let begin = bytes.len();
            bytes.extend_from_slice(match lines.next_if(|(changed, _)| *changed == index) {
                Some((_, line)) => &self.changed[line.clone()],
                None => &batch.bytes[event.line.range()],
            });
            event.line = Span::new(begin, bytes.len());
        }
        batch.bytes = bytes;
    }
}

/// What an output's reader keeps from batch to batch, so that less is done twice; nothing that comes out depends on it.
#[derive(Default)]
pub(crate) struct TransformScratch {
    /// Of the chain that it is of.
    revision: u64,
    work: TransformBuffers,
}

impl Chain {
    /// Whether every event passes as it is.
    pub(crate) fn is_idle(&self) -> bool {
        let Self { policy, filters, redaction, omit_managed_fields, limit, key: _ } = self;
        policy.is_none()
            && filters.is_empty()
            && redaction.is_none()
            && !omit_managed_fields
            && limit.is_none()
    }

    /// Takes the events of a batch through all steps. Positions, times and the stretch of the batch stay.
    /// `revision` says how often the chain was replaced.
    pub(crate) fn apply(&self, revision: u64, batch: &mut Batch, kept: &mut TransformScratch) {
        let time = |event: Option<&Event>| event.map(|event| event.time);
        batch.passed = TransformStats {
            revision,
            first: time(batch.events.first()),
            last: time(batch.events.last()),
            read: batch.events.len() as u64,
            ..TransformStats::default()
        };
        if self.is_idle() {
            return;
        }
        if kept.revision != revision {
            *kept = TransformScratch { revision, ..TransformScratch::default() };
        }
        let work = &mut kept.work;
        work.changed.clear();
        work.lines.clear();
        work.problem = None;
        let mut left = 0;
        for index in 0..batch.events.len() {
            let record = batch.record(index);
            let (begin, mut done) = (work.changed.len(), Done::default());
            let fate = self.event(&record, work, &mut done);
            count(&mut batch.passed, &done);
            match fate {
                EventOutcome::Dropped => continue,
                EventOutcome::Same => {}
                EventOutcome::Changed => {
                    let line = begin..work.changed.len();
                    let event = batch.events[index];
                    let again = done.lowered.is_some() || done.shrunk.is_some();
                    let moved = if again { None } else { moved(event, &work.edits) };
                    batch.events[index] =
                        moved.unwrap_or_else(|| read_again(event, &work.changed[line.clone()]));
                    work.lines.push((left, line));
                }
            }
            batch.events[left] = batch.events[index];
            left += 1;
        }
        batch.events.truncate(left);
        batch.passed.problem = work.problem.take();
        work.hand_over(batch);
        work.changed.shrink_to(ROOM);
    }

    /// Counts what would be done to the events of a batch, and changes nothing.
    pub(crate) fn try_out(&self, batch: &Batch, tally: &mut TransformPreview) {
        let mut work = TransformBuffers::default();
        for index in 0..batch.events.len() {
            let (record, mut done) = (batch.record(index), Done::default());
            work.changed.clear();
            let after = match self.event(&record, &mut work, &mut done) {
                EventOutcome::Dropped => None,
                EventOutcome::Same => Some(record.line),
                EventOutcome::Changed => Some(&*work.changed),
            };
            tally.add(&record, after, &done);
        }
    }

    /// Takes one event through all steps.
    fn event(
        &self,
        record: &Record<'_>,
        work: &mut TransformBuffers,
        done: &mut Done,
    ) -> EventOutcome {
        // Ours, and nothing of it comes from the log.
        if record.event.whole == RecordKind::Gap {
            return EventOutcome::Same;
        }
        let decision = self.policy.as_ref().map(|policy| policy.decide(record));
        done.dropped = match &decision {
            Some(decision) if decision.level == Level::None => Some(Dropped::Level),
            Some(decision) if decision.stage_omitted => Some(Dropped::Stage),
            _ if !self.is_wanted(record, work, done) => Some(Dropped::Where),
            _ => None,
        };
        if done.dropped.is_some() {
            return EventOutcome::Dropped;
        }
        let begin = work.changed.len();
        let edited = self.edit(record, decision.as_ref(), work, done);
        done.shrunk = self.limit.and_then(|limit| {
            let changed = &mut work.changed;
            let shrunk = if !edited {
                shrink(record.line, record.line, limit, &self.key, changed)
            } else if changed.len() - begin > limit {
                let line = changed.split_off(begin);
                let shrunk = shrink(&line, record.line, limit, &self.key, changed);
                if shrunk.is_none() {
                    changed.extend_from_slice(&line);
                }
                shrunk
            } else {
                None
            };
            shrunk.map(|shrunk| shrunk.cuts)
        });
        if edited || done.shrunk.is_some() { EventOutcome::Changed } else { EventOutcome::Same }
    }

    /// What `where` says. What it fails on is kept: an audit trail errs on the side of shipping.
    fn is_wanted(&self, record: &Record<'_>, work: &mut TransformBuffers, done: &mut Done) -> bool {
        self.filters.iter().all(|filter| {
            filter.keeps(record).unwrap_or_else(|problem| {
                done.filter_failed = true;
                work.problem = Some(problem);
                true
            })
        })
    }

    /// Appends to `work.changed` what the event becomes before it is shrunk; `false` if that is what it was.
    fn edit(
        &self,
        record: &Record<'_>,
        decision: Option<&Decision>,
        work: &mut TransformBuffers,
        done: &mut Done,
    ) -> bool {
        let TransformBuffers { edits, changed, scratch, .. } = work;
        edits.clear();
        if record.event.form == Form::Unreadable {
            let Some(redaction) = &self.redaction else { return false };
            redaction.extract(record, changed);
            done.blanked = 1;
            return true;
        }
        if let Some(to) = decision.and_then(|decision| lower_to(record, decision.level)) {
            lower(record, to, edits);
            done.lowered = Some(to);
        }
        let lowered = edits.len();
        if self.omit_managed_fields || decision.is_some_and(|decision| decision.omit_managed_fields)
        {
            omit_managed_fields(record, edits);
        }
        let omitted = edits.len();
        done.managed_fields = omitted > lowered;
        if let Some(redaction) = &self.redaction {
            redaction.edits(record, edits, scratch);
            done.blanked = edits.len() - omitted;
        }
        if edits.is_empty() {
            return false;
        }
        edits.apply(record.line, changed);
        true
    }
}

/// The level that an event is to be lowered to, if it has a higher one.
fn lower_to(record: &Record<'_>, to: Level) -> Option<Level> {
    let level = Level::parse(&record.text(record.event.fields.level)?)?;
    (to < level).then_some(to)
}

/// An event whose line was changed within its fields, if that is all. Its depth stays, at which it may be less deep now.
fn moved(mut event: Event, edits: &Edits) -> Option<Event> {
    if event.form != Form::Json {
        return None;
    }
    for span in event.fields.all_mut() {
        if !span.is_empty() {
            *span = edits.moved(*span)?;
        }
    }
    Some(event)
}

/// An event whose line was changed: the same, with its fields where they stand now.
fn read_again(mut event: Event, line: &[u8]) -> Event {
    let (mut found, mut pieces_found) = (None, 0);
    pieces(line, true, |piece| {
        found = Some(piece);
        pieces_found += 1;
    });
    let whole = found.filter(|piece| pieces_found == 1 && piece.at.range() == (0..line.len()));
    // No step makes anything else of a whole line. It would go out as something that nobody can read.
    event.form = whole.map_or(Form::Unreadable, |piece| piece.form);
    event.fields = whole.map_or_else(Fields::default, |piece| piece.fields);
    event.depth = whole.map_or(event.depth, |piece| piece.depth);
    event
}

fn count(passed: &mut TransformStats, done: &Done) {
    match done.dropped {
        Some(Dropped::Level | Dropped::Stage) => passed.dropped += 1,
        Some(Dropped::Where) => passed.filtered += 1,
        None => {}
    }
    passed.lowered += u64::from(done.lowered.is_some());
    passed.redacted += u64::from(done.blanked > 0);
    passed.shrunk += u64::from(done.shrunk.is_some());
    passed.undecided += u64::from(done.filter_failed);
}
