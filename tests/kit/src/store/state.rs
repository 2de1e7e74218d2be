//! What a fake store holds, what it refuses, and what it answers to a write.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Do;
use super::found::found;
use super::http::{Answer, Request, Service};

/// One stored event.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Stored {
    /// Labels of the stream, or id of the document.
    pub under: String,
    pub tenant: String,
    /// The time of an entry in nanoseconds since 1970; 0 for a document.
    pub time: i64,
    pub line: String,
}

impl Stored {
    /// A document under this id.
    pub fn document(id: &str, line: String) -> Self {
        Self { under: id.to_owned(), tenant: String::new(), time: 0, line }
    }
}

/// Why a store refuses an event.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refusal {
    /// It does not fit: too long for Loki, no valid document for Elasticsearch.
    Content,
    TooOld,
    TooNew,
    /// In words that the agent does not know.
    Strange,
    /// The index is closed for writing.
    Blocked,
}

/// Which events a store refuses.
pub struct Rule {
    pub refusal: Refusal,
    pub when: Box<dyn Fn(&Stored) -> bool + Send>,
}

/// A write that has arrived.
#[derive(Clone, Copy, Debug)]
pub struct Write {
    pub at: Instant,
    pub events: usize,
    /// How many events were stored before it.
    pub stored_before: usize,
    /// The value of [`State::clock`] when it came.
    pub clock: usize,
}

/// The content of a store, its log, and its faults.
///
/// Many fields: tests set and read each by itself.
#[derive(Default)]
pub struct State {
    pub stored: Vec<Stored>,
    pub writes: Vec<Write>,
    pub looked_up: Vec<Instant>,
    /// For the next writes, one each; after that `always`.
    pub script: VecDeque<Do>,
    pub always: Option<Do>,
    pub look_ups: VecDeque<Do>,
    pub always_look_up: Option<Do>,
    /// Every request is answered with this status.
    pub down: Option<u16>,
    pub rules: Vec<Rule>,
    /// Bulk: an id among the documents stored from here on is refused with 409.
    pub unique_from: Option<usize>,
    /// Requests with this text get no answer and are not stored.
    pub hang: Option<&'static str>,
    /// Larger requests get 413.
    pub max_body: Option<usize>,
    /// Larger answers to look-ups become a 500, as Loki's components report it.
    pub max_answer: Option<usize>,
    /// Requests without events get a proxy's page, as if there were no store.
    pub nobody: bool,
    /// A request whose client has gone is not stored. What a busy machine delays beyond this counts as never sent.
    pub patience: Option<Duration>,
    /// The clock for [`Write::clock`].
    pub clock: Option<Box<dyn Fn() -> usize + Send>>,
    /// Answers in place of this store.
    pub(super) recorded: Option<Box<dyn Service>>,
}

impl State {
    pub(super) fn note_write(&mut self, events: usize) {
        self.writes.push(Write {
            at: Instant::now(),
            events,
            stored_before: self.stored.len(),
            clock: self.clock.as_ref().map_or(0, |clock| clock()),
        });
    }

    /// What to do with a write of these events.
    pub(super) fn next(&mut self, new: &[Stored]) -> Do {
        if self.hang.is_some_and(|text| new.iter().any(|event| event.line.contains(text))) {
            return Do::Hang;
        }
        self.script.pop_front().or_else(|| self.always.clone()).unwrap_or(Do::Take)
    }

    /// The answer to a write without events.
    pub(super) fn empty_write(&self, bulk: bool) -> Answer {
        match self.script.front().or(self.always.as_ref()) {
            Some(Do::Answer(status, text)) => Answer::text(*status, *text),
            _ if self.nobody => Answer::text(403, "<html>Request blocked</html>"),
            _ if bulk => {
                let error =
                    json!({"type": "parse_exception", "reason": "request body is required"});
                Answer::json(400, &json!({ "error": error }))
            }
            _ => Answer::text(422, "error at least one valid stream is required for ingestion\n"),
        }
    }

    /// Takes a write: stores what is not refused, every event or every other one.
    pub(super) fn take(&mut self, request: &Request, new: Vec<Stored>, half: bool) -> Answer {
        if let Some(recorded) = &mut self.recorded {
            return recorded.answer(request);
        }
        if self.max_body.is_some_and(|most| request.body.len() > most) {
            return Answer::text(413, "too large");
        }
        let bulk = request.is_bulk();
        let (mut items, mut refused, mut too_many) = (Vec::new(), None, false);
        for (at, event) in new.into_iter().enumerate() {
            let is_taken = bulk && self.has(&event.under);
            let rule = self.rules.iter().position(|rule| (rule.when)(&event));
            let full = half && at % 2 == 1;
            items.push(match rule.map(|rule| self.rules[rule].refusal) {
                _ if is_taken => item(&event, 409, "version_conflict_engine_exception", TAKEN),
                Some(Refusal::Blocked) => item(&event, 403, "cluster_block_exception", BLOCKED),
                Some(_) => item(&event, 400, "document_parsing_exception", "too long for us"),
                None if full => item(&event, 429, "es_rejected_execution_exception", "full"),
                None => json!({"create": {"_id": event.under, "status": 201}}),
            });
            if rule.is_none() && !full && !is_taken {
                self.stored.push(event);
            }
            refused = refused.into_iter().chain(rule).min();
            too_many |= full;
        }
        match refused.map(|rule| self.rules[rule].refusal) {
            _ if bulk => Answer::json(200, &json!({"errors": true, "items": items})),
            Some(refusal) => Answer::text(400, refusal.loki()),
            None if too_many => Answer::text(429, TOO_MANY),
            None => Answer::empty(204),
        }
    }

    /// The answer to a question.
    pub(super) fn question(&mut self, request: &Request) -> Answer {
        match &mut self.recorded {
            Some(recorded) => recorded.answer(request),
            None => found(&self.stored, request),
        }
    }

    /// Whether the current index has a document of this id.
    fn has(&self, id: &str) -> bool {
        let index = self.unique_from.map_or(&[][..], |from| &self.stored[from..]);
        index.iter().any(|stored| stored.under == id)
    }
}

const TAKEN: &str = "document already exists";
const BLOCKED: &str = "index [a] blocked by: [FORBIDDEN/8/index write (api)];";
const TOO_MANY: &str = "Per stream rate limit exceeded, total ignored: 1 out of 2";

impl Refusal {
    /// What Loki says.
    fn loki(self) -> &'static str {
        match self {
            Self::Content => "max entry size '5' bytes exceeded for stream '{}'",
            Self::TooOld => "entry for stream '{}' has timestamp too old: 2020",
            Self::TooNew => "entry for stream '{}' has timestamp too new: 2030",
            Self::Strange | Self::Blocked => "the moon is in the wrong quarter",
        }
    }
}

/// One refused item of a bulk answer.
fn item(event: &Stored, status: u16, kind: &str, reason: &str) -> Value {
    let error = json!({"type": kind, "reason": reason});
    json!({"create": {"_id": event.under, "status": status, "error": error}})
}
