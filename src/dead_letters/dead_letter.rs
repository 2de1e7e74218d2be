//! One dead letter: an event that an output refused for good, its position in the log, and the output's answer.

use serde::{Deserialize, Serialize};

use crate::event::{
    Batch, Event, Fields, Fingerprint, Form, Position, RecordKind, Span, TransformStats, pieces,
};
use crate::telemetry::{Time, human};

/// Longest answer that is stored, in characters.
const ANSWER_MAX: usize = 1000;

/// Everything that is stored beside the event's line.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct DeadLetter {
    /// The id under which the output would store the event.
    pub(crate) id: String,
    pub(crate) generation: Fingerprint,
    pub(crate) offset: u64,
    pub(crate) whole: RecordKind,
    /// Event time.
    pub(crate) time: Time,
    /// Time of the last refusal.
    pub(crate) refused: Time,
    /// Time of the first refusal, if it has been sent again since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) first_refused: Option<Time>,
    pub(crate) answer: String,
    /// The scope in which the output would have stored it.
    pub(crate) scope: String,
}

/// A letter with its line.
#[derive(Clone, Debug)]
pub(crate) struct StoredDeadLetter {
    pub(crate) letter: DeadLetter,
    pub(crate) line: Vec<u8>,
}

impl DeadLetter {
    pub(super) fn of(batch: &Batch, index: usize, answer: &str, scope: &str) -> Self {
        let position = batch.position(index);
        Self {
            id: position.name(),
            generation: position.generation,
            offset: position.offset,
            whole: position.whole,
            time: Time::from_nanos(batch.events[index].time),
            refused: Time::now(),
            first_refused: None,
            answer: human::line(answer, ANSWER_MAX),
            scope: scope.to_owned(),
        }
    }

    /// The position, which identifies its event.
    pub(crate) fn position(&self) -> Position {
        Position { generation: self.generation, offset: self.offset, whole: self.whole }
    }

    /// Time of the first refusal: how long it has been a dead letter.
    pub(crate) fn since(&self) -> Time {
        self.first_refused.unwrap_or(self.refused)
    }

    /// The same letter with a new answer.
    pub(super) fn answered(self, answer: &str) -> Self {
        let (first_refused, answer) = (Some(self.since()), human::line(answer, ANSWER_MAX));
        Self { refused: Time::now(), first_refused, answer, ..self }
    }
}

/// Turns letters of one generation back into a batch of events; `None` for no letters.
pub(crate) fn batch(letters: Vec<StoredDeadLetter>) -> Option<Batch> {
    let generation = letters.first()?.letter.generation;
    let (mut bytes, mut events) = (Vec::new(), Vec::with_capacity(letters.len()));
    for StoredDeadLetter { letter, line } in letters {
        events.push(event(&letter, &line, bytes.len()));
        if bytes.is_empty() {
            // Moves the first line instead of copying it: it may be large.
            bytes = line;
        } else {
            bytes.extend_from_slice(&line);
        }
        bytes.push(b'\n');
    }
    let start = events.iter().map(|event: &Event| event.offset).min().unwrap_or_default();
    let end = events.iter().map(|event| event.offset + 1).max().unwrap_or_default();
    Some(Batch {
        generation,
        start,
        end,
        bytes,
        events,
        earlier: Vec::new(),
        passed: TransformStats::default(),
    })
}

/// An event whose line starts at index `at` of its batch. It keeps the position and time under which it was first
/// sent.
fn event(letter: &DeadLetter, line: &[u8], at: usize) -> Event {
    let Position { offset, whole, .. } = letter.position();
    let span = Span::new(at, at + line.len());
    let time = letter.time.nanos();
    let (form, fields, depth) = (Form::Unreadable, Fields::default(), 0);
    let mut event = Event { offset, whole, form, line: span, time, fields, depth };
    let mut first = true;
    pieces(line, whole != RecordKind::Torn, |piece| {
        if std::mem::take(&mut first) && piece.at == Span::new(0, line.len()) {
            (event.form, event.fields, event.depth) = (piece.form, piece.fields, piece.depth);
        }
    });
    event
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_becomes_the_event_that_it_was() {
        let time = "2026-11-21T06:00:00.000001Z";
        let whole = format!(
            r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"a","stage":"Panic","requestReceivedTimestamp":"{time}","stageTimestamp":"{time}","verb":"get"}}"#
        );
        let torn = r#"{"kind":"Event","auditID":"b","verb":"li"#;
        let line = format!("{whole}{torn}");
        let mut events = Vec::new();
        pieces(line.as_bytes(), false, |piece| {
            let time = piece.time.unwrap_or(-7);
            let crate::event::Piece { at, whole, form, fields, depth, .. } = piece;
            let offset = 70 + u64::from(at.start);
            events.push(Event { offset, whole, form, line: at, time, fields, depth });
        });
        let generation = Fingerprint([3; 16]);
        let bytes = line.into_bytes();
        let was = Batch {
            generation,
            start: 70,
            end: 999,
            bytes,
            events,
            earlier: Vec::new(),
            passed: TransformStats::default(),
        };
        assert_eq!(was.events.len(), 2);
        let kept = (0..2).map(|index| {
            let letter = DeadLetter::of(&was, index, "400\nno", "scope");
            let text = serde_json::to_string(&letter).unwrap();
            let letter = serde_json::from_str(&text).unwrap();
            StoredDeadLetter { letter, line: was.record(index).line.to_vec() }
        });
        let is = batch(kept.collect()).unwrap();
        for index in 0..2 {
            let (was_event, is_event) = (was.record(index), is.record(index));
            assert_eq!(is_event.line, was_event.line);
            assert_eq!(is.position(index), was.position(index));
            let facts = |event: &Event| (event.time, event.form, event.fields, event.depth);
            assert_eq!(facts(is_event.event), facts(was_event.event));
        }
    }
}
