//! Runs the steps of one output (`steps.rs`) on a batch, in place, before the batch is sent.

use std::ops::Range;

use super::TransformPreview;
use super::edit::Edits;
use super::redact::Scratch;
use super::step::{Done, EventWork};
use super::steps::Chain;
use crate::event::{Batch, Event, Fields, Form, Record, RecordKind, Span, TransformStats, pieces};

/// Capacity in bytes of the buffer for new lines that is kept between batches.
const ROOM: usize = 1 << 20;

/// The result of the steps for one event.
enum EventOutcome {
    Same,
    /// The new line was appended to the buffer.
    Changed,
    Dropped,
}

/// Buffers that are reused from event to event, so that most events need no allocation.
#[derive(Default)]
struct TransformBuffers {
    edits: Edits,
    /// The new lines, one after the other.
    changed: Vec<u8>,
    /// For each new line, the index of its event and its place in `changed`.
    lines: Vec<(usize, Range<usize>)>,
    /// The latest reason why `where` failed.
    problem: Option<String>,
    scratch: Scratch,
}

impl TransformBuffers {
    /// Gives the batch its new lines. If each fits where the old one was, it takes that place, and no other line is
    /// copied. The batch does not need more memory than before.
    fn hand_over(&mut self, batch: &mut Batch) {
        if let ([event], [_]) = (&mut *batch.events, &*self.lines) {
            // The line may have many megabytes, so it is moved and not copied.
            event.line = Span::new(0, self.changed.len());
            batch.bytes = std::mem::take(&mut self.changed);
            return;
        }
        let fits = |(index, line): &(usize, Range<usize>)| {
            line.len() <= batch.events[*index].line.range().len()
        };
        if self.lines.iter().all(fits) {
            for (index, line) in &self.lines {
                let old = &mut batch.events[*index].line;
                let (new, rest) = batch.bytes[old.range()].split_at_mut(line.len());
                new.copy_from_slice(&self.changed[line.clone()]);
                // Nothing of the old line remains.
                rest.fill(b' ');
                let start = old.range().start;
                *old = Span::new(start, start + line.len());
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

/// Buffers that the reader of an output keeps between batches to save work. The result does not depend on them.
#[derive(Default)]
pub struct TransformScratch {
    /// The revision of the chain that these buffers belong to.
    revision: u64,
    work: TransformBuffers,
}

impl Chain {
    /// Runs all steps on the events of a batch. Positions, times and the byte range of the batch do not change.
    /// `revision` says how often the chain was replaced by a reload.
    pub fn apply(&self, revision: u64, batch: &mut Batch, kept: &mut TransformScratch) {
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
        work.lines.clear();
        work.problem = None;
        let mut left = 0;
        for index in 0..batch.events.len() {
            let record = batch.record(index);
            let begin = work.changed.len();
            let (outcome, done) = self.event(&record, work);
            done.count(&mut batch.passed.actions);
            match outcome {
                EventOutcome::Dropped => {
                    batch.passed.left_out += 1;
                    continue;
                }
                EventOutcome::Same => {}
                EventOutcome::Changed => {
                    let line = begin..work.changed.len();
                    let event = batch.events[index];
                    let moved = if done.parse_again { None } else { moved(event, &work.edits) };
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
        work.changed.clear();
        work.changed.shrink_to(ROOM);
    }

    /// Dry run: counts what the steps would do to the events of a batch, without changing the batch.
    pub fn try_out(&self, batch: &Batch, tally: &mut TransformPreview) {
        let mut work = TransformBuffers::default();
        for index in 0..batch.events.len() {
            let record = batch.record(index);
            work.changed.clear();
            let (outcome, done) = self.event(&record, &mut work);
            let after = match outcome {
                EventOutcome::Dropped => None,
                EventOutcome::Same => Some(record.line),
                EventOutcome::Changed => Some(&*work.changed),
            };
            tally.add(&record, after, done);
        }
    }

    /// Runs all steps on one event.
    fn event(&self, record: &Record<'_>, work: &mut TransformBuffers) -> (EventOutcome, Done) {
        // The agent wrote the gap record itself; it holds nothing from the log.
        if record.event.whole == RecordKind::Gap {
            return (EventOutcome::Same, Done::default());
        }
        work.edits.clear();
        let mut work = EventWork {
            record,
            lower_to: None,
            omit_managed_fields: false,
            edits: &mut work.edits,
            begin: work.changed.len(),
            changed: &mut work.changed,
            is_changed: false,
            scratch: &mut work.scratch,
            problem: &mut work.problem,
            first_action: 0,
            done: Done::default(),
        };
        if !self.keeps(&mut work) {
            return (EventOutcome::Dropped, work.done);
        }
        self.edit(&mut work);
        if !work.edits.is_empty() {
            work.edits.apply(record.line, work.changed);
            work.is_changed = true;
        }
        self.finish(&mut work);
        let outcome = if work.is_changed { EventOutcome::Changed } else { EventOutcome::Same };
        (outcome, work.done)
    }
}

/// The event with its field places moved, if every edit lies inside a field or outside all fields. `depth` is kept,
/// although the line may now be less deep.
fn moved(mut event: Event, edits: &Edits) -> Option<Event> {
    if event.form != Form::Json {
        return None;
    }
    for span in event.fields.all_mut() {
        // An empty value has no place that could be found again.
        *span = if span.is_empty() { Span::default() } else { edits.moved(*span)? };
    }
    Some(event)
}

/// The event with its format, fields and depth parsed again from the changed line.
fn read_again(mut event: Event, line: &[u8]) -> Event {
    let (mut found, mut pieces_found) = (None, 0);
    pieces(line, true, |piece| {
        found = Some(piece);
        pieces_found += 1;
    });
    let whole = found.filter(|piece| pieces_found == 1 && piece.at.range() == (0..line.len()));
    // Every step turns a whole line into a whole line. If one did not, the line would be shipped as unreadable.
    event.form = whole.map_or(Form::Unreadable, |piece| piece.form);
    event.fields = whole.map_or_else(Fields::default, |piece| piece.fields);
    event.depth = whole.map_or(event.depth, |piece| piece.depth);
    event
}

#[cfg(test)]
mod tests {
    use super::super::fuzz_tests::batch;
    use super::super::managed_fields::ManagedFields;
    use super::super::redact::{Mode, Redaction, Rules};
    use super::*;

    fn event(name: &str, token: &str) -> String {
        format!(
            r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Request","auditID":"{name}","stage":"ResponseComplete","requestURI":"/api/v1/pods","verb":"create","objectRef":{{"resource":"pods","name":"{name}"}},"requestObject":{{"spec":{{"token":"{token}"}}}}}}"#
        )
    }

    /// What a chain with the default redaction makes of some lines.
    fn applied(lines: &[String]) -> Batch {
        let mut all = batch(b"", true);
        all.events.clear();
        for line in lines {
            let (begin, one) = (all.bytes.len(), batch(line.as_bytes(), true));
            all.bytes.extend_from_slice(&one.bytes);
            all.bytes.push(b'\n');
            all.events.extend(one.events.into_iter().map(|mut event| {
                let at = event.line.range();
                event.line = Span::new(begin + at.start, begin + at.end);
                event
            }));
        }
        let chain = Chain {
            redaction: Some(Redaction::new(Rules::default(), Mode::Mask).unwrap()),
            managed_fields: Some(ManagedFields { always: true }),
            ..Chain::default()
        };
        chain.apply(1, &mut all, &mut TransformScratch::default());
        all
    }

    fn lines(batch: &Batch) -> Vec<String> {
        let lines = (0..batch.events.len()).map(|index| batch.record(index).line);
        lines.map(|line| String::from_utf8(line.to_vec()).unwrap()).collect()
    }

    #[test]
    fn a_secret_that_is_redacted_is_nowhere_in_the_batch_and_costs_it_no_memory() {
        let quiet = |name| event(name, "");
        let before = [quiet("a"), event("b", "Zq7marker-of-a-secret"), quiet("c")];
        let batch = applied(&before);
        assert_eq!(lines(&batch), [quiet("a"), event("b", "***"), quiet("c")]);
        let length: usize = before.iter().map(|line| line.len() + 1).sum();
        assert_eq!(batch.bytes.len(), length);
        assert_eq!(memchr::memmem::find(&batch.bytes, b"marker"), None);
        let named: Vec<_> = (0..3)
            .map(|at| batch.record(at))
            .map(|record| record.text(record.event.fields.name).unwrap().into_owned())
            .collect();
        assert_eq!(named, ["a", "b", "c"]);
    }

    #[test]
    fn a_line_that_becomes_longer_leaves_its_neighbours_as_they_are() {
        let before = [event("a", ""), event("b", "x"), event("c", "Zq7marker-of-a-secret")];
        let batch = applied(&before);
        assert_eq!(lines(&batch), [event("a", ""), event("b", "***"), event("c", "***")]);
        assert_eq!(memchr::memmem::find(&batch.bytes, b"marker"), None);
    }
}
