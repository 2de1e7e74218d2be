//! Handles "id exists" answers (409 conflict): the document with the event's id is the event itself, or another one.
//!
//! The look-up has fetched and compared the documents by then. Events that it found are delivered. The others are
//! sent under the next id of each event, so that nobody can suppress an event by storing a document under its id
//! first.

use std::time::Duration;

use super::context::DeliveryContext;
use super::delivery::{Delivery, History, Part, alone};
use crate::event::Batch;
use crate::output::EventRef;

impl Delivery {
    /// Other documents have these ids, or the documents cannot be compared: sends the events under their next ids.
    pub(super) fn rename(
        &mut self,
        context: &DeliveryContext,
        batch: &Batch,
        mut part: Part,
        answer: &str,
        unavailable: bool,
    ) -> Option<Duration> {
        if unavailable {
            // The documents cannot be compared. Every id after the first contains the hash of the event.
            let sent_here = part.history == History::Unheard && !context.lives.others_write();
            let (own, unknown): (Vec<_>, Vec<_>) =
                part.picks.into_iter().partition(|pick| sent_here || pick.other > 0);
            context.delivered(batch, &own);
            part.picks = unknown;
        }
        let (renamed, spent): (Vec<_>, Vec<_>) =
            part.picks.into_iter().partition(|pick| pick.other < EventRef::MOST_OTHERS);
        if !renamed.is_empty() {
            context.reporter.taken(renamed.len(), answer, unavailable);
            context.lives.others_wrote();
            let next = |pick: EventRef| EventRef { other: pick.other + 1, ..pick };
            part.picks = renamed.into_iter().map(next).collect();
            // Nobody has sent these ids.
            part.history = History::New;
            self.parts.push(part);
        }
        if spent.is_empty() {
            return None;
        }
        let answer = format!("other documents have all of its ids: {answer}");
        self.refuse(context, batch, alone(spent, &answer), true)
    }
}
