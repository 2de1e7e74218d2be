//! Events of a delivery that wait for the operator: how the wait begins, how it is shown in the status, and how the
//! operator ends it by making dead letters of them.

use std::time::{Duration, Instant};

use super::Delivery;
use super::part::{ALONE, Part, Stuck, alone};
use crate::event::Batch;
use crate::pipeline::context::DeliveryContext;
use crate::pipeline::waits::{Wait, WaitGuard};

impl Delivery {
    /// Makes dead letters of the events that may become such, if the operator has called for it.
    pub(super) fn set_aside(&mut self, context: &DeliveryContext, batch: &Batch) {
        let Some(waiting) = &mut self.waiting else { return };
        let call = context.waits.call();
        if waiting.heard >= call {
            return;
        }
        waiting.heard = call;
        let is_alone = |part: &mut Part| part.stuck.as_ref().is_some_and(|stuck| stuck.aside);
        let alone_parts: Vec<_> = self.parts.extract_if(.., is_alone).collect();
        for part in alone_parts {
            let answer = part.stuck.map(|stuck| stuck.answer).unwrap_or_default();
            // If an event cannot be stored as a dead letter, it continues to wait.
            let _ = self.refuse(context, batch, alone(part.picks, &answer), true);
        }
        self.show(context);
    }

    /// Shows the events that wait for an operator. If the output takes nothing, all events that are left wait.
    pub(super) fn show(&mut self, context: &DeliveryContext) {
        let stuck = || self.parts.iter().filter_map(|part| Some((part, part.stuck.as_ref()?)));
        let Some((_, first)) = stuck().next() else {
            self.waiting = None;
            return;
        };
        let count = |parts: &mut dyn Iterator<Item = &Part>| -> u64 {
            parts.map(|part| part.picks.len() as u64).sum()
        };
        let aside = count(&mut stuck().filter(|(_, stuck)| stuck.aside).map(|(part, _)| part));
        let events = if stuck().all(|(_, stuck)| stuck.aside) {
            aside
        } else {
            count(&mut self.parts.iter())
        };
        let wait = Wait { events, aside, answer: first.answer.clone(), hint: first.hint.clone() };
        self.waiting.get_or_insert_with(|| WaitGuard::new(&context.waits)).show(Some(wait));
    }

    /// Lets a part wait for an operator. `aside`: the output may take other events meanwhile.
    pub(super) fn hold(
        &mut self,
        context: &DeliveryContext,
        mut part: Part,
        answer: String,
        hint: &str,
        aside: bool,
    ) -> Option<Duration> {
        context.reporter.stopped(&answer, hint);
        let pause = self.backoff.longest();
        let until = Instant::now() + pause;
        part.stuck = Some(Stuck { answer, hint: hint.to_owned(), aside, until });
        self.parts.push(part);
        (!aside).then_some(pause)
    }

    /// One event that the output does not take. It becomes a dead letter if the store itself refused it (`own`), or
    /// waits for the operator.
    pub(super) fn one_left(
        &mut self,
        context: &DeliveryContext,
        batch: &Batch,
        part: Part,
        own: bool,
        answer: &str,
    ) -> Option<Duration> {
        if own {
            return self.refuse(context, batch, alone(part.picks, answer), part.beside);
        }
        self.isolated += 1;
        self.hold(context, part, answer.to_owned(), ALONE, true)
    }
}
