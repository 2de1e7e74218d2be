//! What is done where the id of an event is taken: by the event itself, or by another document.
//!
//! The documents were fetched and compared by then. What was found to be the event is delivered; the rest is sent under
//! the next id that each event goes by, so that nobody who has an id first can make an event vanish.

use std::time::Duration;

use super::delivery::{Context, Delivery, History, Part, alone};
use crate::event::Batch;
use crate::output::EventRef;

impl Delivery {
    /// The ids of these events are taken, as far as can be seen by other documents: sends them under their next ones.
    pub(super) fn rename(
        &mut self,
        context: &Context,
        batch: &Batch,
        mut part: Part,
        answer: &str,
        unavailable: bool,
    ) -> Option<Duration> {
        if unavailable {
            // The documents cannot be compared. Those with another id than the first have their content in it.
            let sent_here = part.history == History::Unheard && !context.lives.others_write();
            let (own, unknown): (Vec<_>, Vec<_>) =
                part.picks.into_iter().partition(|pick| sent_here || pick.other > 0);
            context.delivered(batch, &own);
            part.picks = unknown;
        }
        let (renamed, spent): (Vec<_>, Vec<_>) =
            part.picks.into_iter().partition(|pick| pick.other < EventRef::MOST_OTHERS);
        if !renamed.is_empty() {
            context.tell.taken(renamed.len(), answer, unavailable);
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
