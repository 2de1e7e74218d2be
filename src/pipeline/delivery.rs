//! Delivers one chunk: send, retry, look up (deduplicate), halve, or store as dead letters, until no event is left.

use std::sync::Arc;
use std::time::{Duration, Instant};

mod part;
mod waiting;

use super::backoff::Backoff;
use super::context::DeliveryContext;
use super::recovery::is_unheard;
use super::refusals::NotStored;
use super::waits::WaitGuard;
use crate::event::{Batch, Nanos, RetryReason};
use crate::output::{Answer, Deduplication, EventRef, Output, QueryError, Verdict};
use part::{AHEAD, ALONE, Doubt, Then, alike};
pub(super) use part::{History, Part, Refused, alone};

/// After this many events isolated by halving and refused in words that we do not know, with none delivered in
/// between, we take the refusal to be about all events.
const ISOLATED: u32 = 3;

/// A chunk being delivered. It holds no events, only references to those that are left.
pub(super) struct Delivery {
    pub(super) parts: Vec<Part>,
    backoff: Backoff,
    waiting: Option<WaitGuard>,
    /// Counts up to [`ISOLATED`].
    isolated: u32,
}

/// How far a delivery came.
pub(super) enum DeliveryStep {
    Done,
    /// There is nothing to do before this instant.
    Wait(Instant),
}

impl Delivery {
    /// `earlier`: the scopes to which an earlier process may have sent the chunk, and when its requests are over.
    pub(super) fn new(
        output: &Output,
        batch: &Batch,
        backoff: Backoff,
        earlier: Option<(Arc<[String]>, Instant)>,
    ) -> Self {
        // What nobody can be asked about is sent again.
        let asks = output.capabilities().deduplication != Deduplication::None;
        let doubt = earlier.filter(|_| asks);
        let doubt =
            doubt.map(|(scopes, until)| Doubt { until, unheard: true, scopes, then: Then::Send });
        let parts = output.groups(batch).into_iter().filter(|picks| !picks.is_empty());
        let parts = parts.map(|picks| Part::new(picks, doubt.clone())).collect();
        Self { parts, backoff, waiting: None, isolated: 0 }
    }

    /// The last "set aside" call of the operator that this delivery has handled.
    pub(super) fn heard(&self) -> u64 {
        self.waiting.as_ref().map_or(u64::MAX, |waiting| waiting.heard)
    }

    /// Continues until everything is settled or there is something to wait for.
    pub(super) async fn step(&mut self, context: &DeliveryContext, batch: &Batch) -> DeliveryStep {
        self.set_aside(context, batch);
        let step = self.go_on(context, batch).await;
        self.show(context);
        step
    }

    async fn go_on(&mut self, context: &DeliveryContext, batch: &Batch) -> DeliveryStep {
        loop {
            let now = Instant::now();
            let is_due = |part: &Part| part.stuck.as_ref().is_none_or(|stuck| stuck.until <= now);
            // Events that wait for an operator do not keep others from being sent.
            let Some(at) = self.parts.iter().rposition(is_due) else { break };
            let mut part = self.parts.remove(at);
            let wait = match part.doubt.take() {
                Some(doubt) if doubt.until > now => {
                    let until = doubt.until;
                    part.doubt = Some(doubt);
                    self.parts.push(part);
                    return DeliveryStep::Wait(until);
                }
                Some(doubt) => self.look_up(context, batch, part, doubt).await,
                None => self.send(context, batch, part).await,
            };
            if let Some(wait) = wait {
                return DeliveryStep::Wait(Instant::now() + wait);
            }
        }
        let next =
            self.parts.iter().filter_map(|part| part.stuck.as_ref()).map(|stuck| stuck.until);
        next.min().map_or(DeliveryStep::Done, DeliveryStep::Wait)
    }

    /// Looks up a part in the output; returns how long to wait, if that is needed.
    async fn look_up(
        &mut self,
        context: &DeliveryContext,
        batch: &Batch,
        mut part: Part,
        mut doubt: Doubt,
    ) -> Option<Duration> {
        let trusting = !matches!(doubt.then, Then::Rename { .. });
        let asked = Instant::now();
        let mut found = vec![false; part.picks.len()];
        let mut unavailable = false;
        for scope in doubt.scopes.iter() {
            match context.output.look_up(scope, batch, &part.picks, trusting).await {
                Ok(here) => {
                    found.iter_mut().zip(here).for_each(|(found, here)| *found |= here);
                }
                Err(QueryError::Unavailable { answer }) => {
                    unavailable = true;
                    context.reporter.cannot_look_up(&answer);
                }
                Err(QueryError::Retry { after, reason, answer }) => {
                    context.recovery.heard_or_not(reason);
                    context.reporter.retrying(reason, &answer);
                    part.doubt = Some(doubt);
                    self.parts.push(part);
                    return Some(self.backoff.pause(after));
                }
            }
        }
        context.recovery.heard();
        if let Some(until) = context.recovery.settled_at(asked, context.timeout)
            && doubt.unheard
            && found.contains(&false)
        {
            doubt.until = until;
            part.doubt = Some(doubt);
            self.parts.push(part);
            return None;
        }
        let (mut there, mut missing) = (Vec::new(), Vec::new());
        for (pick, found) in part.picks.into_iter().zip(found) {
            if found { &mut there } else { &mut missing }.push(pick);
        }
        context.reporter.looked_up(batch, there.len(), missing.len(), unavailable);
        context.delivered(batch, &there);
        if part.history == History::New && !there.is_empty() && !trusting {
            context.reporter.stored_before(there.len());
            context.lives.suspect();
        }
        if !there.is_empty() {
            part.beside = true;
            self.isolated = 0;
        }
        let missing = Part { picks: missing, stuck: None, ..part };
        if let Then::Rename { answer } = doubt.then {
            if missing.picks.is_empty() {
                return None;
            }
            return self.rename(context, batch, missing, &answer, unavailable);
        }
        self.go_on_without(context, batch, missing, doubt.then)
    }

    /// Handles the events that the look-up did not find.
    fn go_on_without(
        &mut self,
        context: &DeliveryContext,
        batch: &Batch,
        missing: Part,
        then: Then,
    ) -> Option<Duration> {
        match then {
            _ if missing.picks.is_empty() => None,
            Then::Send | Then::Rename { .. } => {
                self.again(missing);
                None
            }
            // A store may refuse a whole time range. That does not show that it would refuse everything else.
            Then::Refuse { answer } => {
                let now = now();
                let (ahead, behind): (Vec<_>, Vec<_>) = missing
                    .picks
                    .into_iter()
                    .partition(|pick| batch.events[pick.event as usize].time > now);
                if !ahead.is_empty() {
                    // The answer about the others may hide the answer about these.
                    let history = History::Earlier;
                    let ahead = Part { beside: missing.beside, history, ..Part::new(ahead, None) };
                    let _ = self.hold(context, ahead, answer.clone(), AHEAD, true);
                }
                self.refuse(context, batch, alone(behind, &answer), true)
            }
            Then::Wait { answer, hint } => self.hold(context, missing, answer, &hint, true),
            Then::Halve { own, answer } if missing.picks.len() == 1 => {
                self.one_left(context, batch, missing, own, &answer)
            }
            Then::Halve { own: false, answer } if self.isolated >= ISOLATED => {
                self.hold(context, missing, answer, ALONE, false)
            }
            Then::Halve { .. } => {
                self.halve(missing.picks, missing.beside, missing.history);
                None
            }
        }
    }

    async fn send(
        &mut self,
        context: &DeliveryContext,
        batch: &Batch,
        mut part: Part,
    ) -> Option<Duration> {
        part.stuck = None;
        let answer = context.output.send(batch, &part.picks).await;
        match &answer {
            Answer::Whole(Verdict::Retry { reason, .. } | Verdict::Doubt { reason, .. }) => {
                context.recovery.heard_or_not(*reason);
            }
            _ => context.recovery.heard(),
        }
        match answer {
            Answer::Whole(verdict) => self.judge(context, batch, part, verdict),
            Answer::Each(verdicts) if verdicts.len() != part.picks.len() => {
                let answer = format!("{} verdicts on {} events", verdicts.len(), part.picks.len());
                let doubt = Verdict::Doubt { reason: RetryReason::BadAnswer, answer };
                self.judge(context, batch, part, doubt)
            }
            Answer::Each(verdicts) => {
                let beside = part.beside || verdicts.contains(&Verdict::Delivered);
                let (groups, refused) = alike(&part.picks, verdicts);
                let mut wait = None;
                for (picks, verdict) in groups {
                    let Part { throttled, history, .. } = part;
                    let some = Part { throttled, beside, history, ..Part::new(picks, None) };
                    wait = match verdict {
                        // The store refused each of these documents separately.
                        Verdict::Stop { answer, hint } => {
                            self.hold(context, some, answer, &hint, true)
                        }
                        verdict => self.judge(context, batch, some, verdict),
                    }
                    .max(wait);
                }
                if refused.is_empty() {
                    return wait;
                }
                self.refuse(context, batch, refused, beside).max(wait)
            }
        }
    }

    /// Acts on the verdict on a part that was just sent.
    fn judge(
        &mut self,
        context: &DeliveryContext,
        batch: &Batch,
        mut part: Part,
        verdict: Verdict,
    ) -> Option<Duration> {
        let single = part.picks.len() == 1;
        match verdict {
            Verdict::Delivered => {
                self.backoff.reset();
                self.isolated = 0;
                context.delivered(batch, &part.picks);
            }
            Verdict::Retry { after, reason, answer } => {
                context.reporter.retrying(reason, &answer);
                part.count(reason);
                self.again(part);
                return Some(self.backoff.pause(after));
            }
            Verdict::Doubt { reason, answer } => {
                self.doubt(context, part, reason, &answer);
                return Some(self.backoff.pause(None));
            }
            Verdict::Split { own, answer } | Verdict::TooLarge { own, answer } if single => {
                return self.one_left(context, batch, part, own, &answer);
            }
            Verdict::Split { own, answer } => {
                self.narrow(context, part, Then::Halve { own, answer });
            }
            Verdict::TooLarge { .. } => self.halve(part.picks, part.beside, part.history),
            // A refused time range does not show that the output would refuse everything else.
            Verdict::OutOfRange { answer } if single => {
                return self.refuse(context, batch, alone(part.picks, &answer), true);
            }
            Verdict::OutOfRange { answer } => self.narrow(context, part, Then::Refuse { answer }),
            Verdict::Wait { answer, hint } if single => {
                return self.hold(context, part, answer, &hint, true);
            }
            Verdict::Wait { answer, hint } => {
                self.narrow(context, part, Then::Wait { answer, hint });
            }
            Verdict::Taken { answer } => self.narrow(context, part, Then::Rename { answer }),
            Verdict::UseFallbackForm { .. } if part.picks.iter().any(|pick| !pick.fallback) => {
                part.picks.iter_mut().for_each(|pick| pick.fallback = true);
                self.parts.push(part);
            }
            Verdict::UseFallbackForm { answer } | Verdict::Refuse { answer } => {
                return self.refuse(context, batch, alone(part.picks, &answer), part.beside);
            }
            Verdict::Stop { answer, hint } => {
                return self.hold(context, part, answer, &hint, false);
            }
            Verdict::Stranger { answer, hint } => {
                part.doubt = Some(Doubt::of(context.output.scope(), Then::Send));
                return self.hold(context, part, answer, &hint, false);
            }
        }
        None
    }

    /// No answer came, or an unclear one: the part is looked up before it is sent again.
    fn doubt(
        &mut self,
        context: &DeliveryContext,
        mut part: Part,
        reason: RetryReason,
        answer: &str,
    ) {
        context.reporter.retrying(reason, answer);
        part.count(reason);
        let until = match reason {
            // After an answer, even a strange one, or after the time-out the request is over.
            RetryReason::Throttled
            | RetryReason::ServerError
            | RetryReason::BadAnswer
            | RetryReason::Timeout => Instant::now(),
            RetryReason::Connect | RetryReason::ConnectionLost | RetryReason::Restart => {
                Instant::now() + context.timeout
            }
        };
        let doubt = Doubt::of(context.output.scope(), Then::Send);
        part.doubt = Some(Doubt { until, unheard: is_unheard(reason), ..doubt });
        part.history = History::Unheard;
        self.parts.push(part);
    }

    /// The output refused some events of a part and may have stored the others: a look-up finds out which.
    fn narrow(&mut self, context: &DeliveryContext, mut part: Part, then: Then) {
        part.doubt = Some(Doubt::of(context.output.scope(), then));
        self.parts.push(part);
    }

    /// Retries a part: in halves, if it may be too large ever to get through.
    fn again(&mut self, part: Part) {
        if part.may_be_too_large() {
            self.halve(part.picks, part.beside, part.history);
        } else {
            self.parts.push(part);
        }
    }

    fn halve(&mut self, mut picks: Vec<EventRef>, beside: bool, history: History) {
        let second = picks.split_off(picks.len() / 2);
        for picks in [second, picks] {
            self.parts.push(Part { beside, history, ..Part::new(picks, None) });
        }
    }

    /// Stores events as dead letters; returns how long to wait if that is not possible.
    pub(super) fn refuse(
        &mut self,
        context: &DeliveryContext,
        batch: &Batch,
        refused: Refused,
        beside: bool,
    ) -> Option<Duration> {
        let events: Vec<_> =
            refused.iter().map(|(pick, answer)| (pick.event, answer.as_str())).collect();
        // Blocks this thread. That is rare, and the dead letters must be on disk before the delivery continues.
        let kept = tokio::task::block_in_place(|| {
            let scope = context.output.scope();
            context.refusals.refused(&context.reporter, &scope, batch, &events, beside)
        });
        let Err(NotStored { answer, hint, aside }) = kept else { return None };
        // Retried as a part of its own: by then there may be room, or the output may take the events.
        let picks = refused.into_iter().map(|(pick, _)| pick).collect();
        let part = Part { beside, history: History::Earlier, ..Part::new(picks, None) };
        let wait = self.hold(context, part, answer, &hint, aside);
        wait.or_else(|| Some(self.backoff.longest()))
    }
}

fn now() -> Nanos {
    i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX)
}
