//! What becomes of one chunk: sent, looked up, halved, put aside as dead letters, until nothing of it is left.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::backoff::Backoff;
use super::fate::Fate;
use super::lives::Lives;
use super::slots::Slots;
use super::tell::Tell;
use super::waking::{Waking, is_unheard};
use crate::event::Batch;
use crate::output::{Answer, LookUp, Output, Pick, Reason, Verdict};

/// Requests answered "slow down" in a row, after which a part is halved: it may be larger than what is ever let through.
const PATIENCE: u32 = 4;

/// What all deliveries of a pipeline share.
pub(super) struct Context {
    pub(super) output: Arc<Output>,
    pub(super) fate: Fate,
    pub(super) tell: Tell,
    /// Of one request: when it has passed, the request cannot be under way any more.
    pub(super) timeout: Duration,
    pub(super) waking: Waking,
    pub(super) slots: Slots,
    pub(super) lives: Arc<Lives>,
}

/// A chunk being delivered. It holds no events, only which of them are left.
pub(super) struct Delivery {
    pub(super) parts: Vec<Part>,
    backoff: Backoff,
}

/// Events that are sent together.
pub(super) struct Part {
    pub(super) picks: Vec<Pick>,
    doubt: Option<Doubt>,
    throttled: u32,
    /// Others that were sent with these were taken: what is refused of these is refused for its content.
    beside: bool,
    pub(super) history: History,
}

/// Whether the events of a part may have been sent before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum History {
    /// By nobody that this process knows of.
    New,
    /// By an earlier process, or by another command.
    Earlier,
    /// By this process, which did not hear an answer.
    Unheard,
}

/// Events that will never be taken, each with its answer.
pub(super) type Refused = Vec<(Pick, String)>;

/// Why a part has to be looked up first.
#[derive(Clone)]
struct Doubt {
    /// Not before: until then the attempt may still arrive.
    until: Instant,
    /// Nobody heard an answer, so that the attempt may still wait where the back end has not read it.
    unheard: bool,
    scopes: Arc<[String]>,
    then: Then,
}

/// What is done with the events that a look-up does not find.
#[derive(Clone)]
enum Then {
    Send,
    /// They are among those of which some were refused: a single one is the culprit, several are sent by halves.
    Halve {
        answer: String,
    },
    Refuse {
        answer: String,
    },
    /// Their ids are taken by other documents: they are sent under others.
    Rename {
        answer: String,
    },
}

/// How far a delivery came.
pub(super) enum Step {
    Done,
    /// Nothing to do before this.
    Wait(Instant),
}

impl Delivery {
    /// `earlier` are the scopes to which an earlier process may have sent the chunk, and when its attempts are over.
    pub(super) fn new(
        output: &Output,
        batch: &Batch,
        backoff: Backoff,
        earlier: Option<(Arc<[String]>, Instant)>,
    ) -> Self {
        let doubt =
            earlier.map(|(scopes, until)| Doubt { until, unheard: true, scopes, then: Then::Send });
        let parts = output.groups(batch).into_iter().filter(|picks| !picks.is_empty());
        let parts = parts.map(|picks| Part::new(picks, doubt.clone())).collect();
        Self { parts, backoff }
    }

    /// Goes on until everything is settled or there is something to wait for.
    pub(super) async fn step(&mut self, context: &Context, batch: &Batch) -> Step {
        while let Some(part) = self.parts.pop() {
            let wait = match &part.doubt {
                Some(doubt) if doubt.until > Instant::now() => {
                    let until = doubt.until;
                    self.parts.push(part);
                    return Step::Wait(until);
                }
                Some(_) => self.look_up(context, batch, part).await,
                None => self.send(context, batch, part).await,
            };
            if let Some(wait) = wait {
                return Step::Wait(Instant::now() + wait);
            }
        }
        Step::Done
    }

    /// Looks up a part; answers how long to wait, if anything has to be waited for.
    async fn look_up(&mut self, context: &Context, batch: &Batch, part: Part) -> Option<Duration> {
        let Part { picks, doubt: Some(mut doubt), throttled, mut beside, history } = part else {
            return None;
        };
        let trusting = !matches!(doubt.then, Then::Rename { .. });
        let asked = Instant::now();
        let mut found = vec![false; picks.len()];
        let mut unavailable = false;
        for scope in doubt.scopes.iter() {
            match context.output.look_up(scope, batch, &picks, trusting).await {
                LookUp::Found(here) => {
                    found.iter_mut().zip(here).for_each(|(found, here)| *found |= here);
                }
                LookUp::Unavailable { answer } => {
                    unavailable = true;
                    context.tell.cannot_look_up(&answer);
                }
                LookUp::Retry { after, reason, answer } => {
                    context.waking.heard_or_not(reason);
                    context.tell.retrying(reason, &answer);
                    let doubt = Some(doubt);
                    self.parts.push(Part { picks, doubt, throttled, beside, history });
                    return Some(self.backoff.pause(after));
                }
            }
        }
        context.waking.heard();
        if let Some(until) = context.waking.settled_at(asked, context.timeout)
            && doubt.unheard
            && found.contains(&false)
        {
            doubt.until = until;
            self.parts.push(Part { picks, doubt: Some(doubt), throttled, beside, history });
            return None;
        }
        let (there, missing): (Vec<_>, Vec<_>) =
            picks.into_iter().zip(found).partition(|(_, found)| *found);
        let missing: Vec<_> = missing.into_iter().map(|(pick, _)| pick).collect();
        let there: Vec<_> = there.into_iter().map(|(pick, _)| pick).collect();
        context.tell.looked_up(batch, there.len(), missing.len(), unavailable);
        context.delivered(batch, &there);
        beside |= !there.is_empty();
        if history == History::New && !there.is_empty() && !trusting {
            context.tell.stored_before(there.len());
            context.lives.suspect();
        }
        match doubt.then {
            _ if missing.is_empty() => None,
            Then::Send => {
                self.parts.push(Part { picks: missing, doubt: None, throttled, beside, history });
                None
            }
            Then::Rename { answer } => {
                let part = Part { picks: missing, doubt: None, throttled, beside, history };
                self.rename(context, batch, part, &answer, unavailable)
            }
            // All of a time range may be refused: that is no sign that nothing else would be taken.
            Then::Refuse { answer } => self.refuse(context, batch, alone(missing, &answer), true),
            Then::Halve { answer } if missing.len() == 1 => {
                self.refuse(context, batch, alone(missing, &answer), beside)
            }
            Then::Halve { .. } => {
                self.halve(missing, beside, history);
                None
            }
        }
    }

    async fn send(&mut self, context: &Context, batch: &Batch, part: Part) -> Option<Duration> {
        let answer = context.output.send(batch, &part.picks).await;
        match &answer {
            Answer::Whole(Verdict::Retry { reason, .. } | Verdict::Doubt { reason, .. }) => {
                context.waking.heard_or_not(*reason);
            }
            _ => context.waking.heard(),
        }
        match answer {
            Answer::Whole(verdict) => self.judge(context, batch, part, verdict),
            Answer::Each(verdicts) if verdicts.len() != part.picks.len() => {
                let answer = format!("{} verdicts on {} events", verdicts.len(), part.picks.len());
                let doubt = Verdict::Doubt { reason: Reason::BadAnswer, answer };
                self.judge(context, batch, part, doubt)
            }
            Answer::Each(verdicts) => {
                let beside = part.beside || verdicts.contains(&Verdict::Delivered);
                let (groups, refused) = alike(&part.picks, verdicts);
                let mut wait = None;
                for (picks, verdict) in groups {
                    let Part { throttled, history, .. } = part;
                    let some = Part { picks, doubt: None, throttled, beside, history };
                    wait = self.judge(context, batch, some, verdict).max(wait);
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
        context: &Context,
        batch: &Batch,
        mut part: Part,
        verdict: Verdict,
    ) -> Option<Duration> {
        match verdict {
            Verdict::Delivered => {
                self.backoff.reset();
                context.delivered(batch, &part.picks);
                None
            }
            Verdict::Retry { after, reason, answer } => {
                context.tell.retrying(reason, &answer);
                part.throttled = if reason == Reason::Throttled { part.throttled + 1 } else { 0 };
                if part.throttled >= PATIENCE && part.picks.len() > 1 {
                    self.halve(part.picks, part.beside, part.history);
                } else {
                    self.parts.push(part);
                }
                Some(self.backoff.pause(after))
            }
            Verdict::Doubt { reason, answer } => {
                context.tell.retrying(reason, &answer);
                let unheard = is_unheard(reason);
                let until = match reason {
                    // An answer that was heard, if not understood, ends the attempt, and so does its time-out.
                    Reason::Throttled
                    | Reason::ServerError
                    | Reason::BadAnswer
                    | Reason::Timeout => Instant::now(),
                    Reason::Connect | Reason::ConnectionLost => Instant::now() + context.timeout,
                };
                part.doubt = Some(self.doubt(context, until, unheard, Then::Send));
                part.history = History::Unheard;
                self.parts.push(part);
                Some(self.backoff.pause(None))
            }
            Verdict::Split { answer } => self.narrow(context, batch, part, answer, false),
            Verdict::OutOfRange { answer } => self.narrow(context, batch, part, answer, true),
            Verdict::TooLarge { answer } if part.picks.len() == 1 => {
                self.refuse(context, batch, alone(part.picks, &answer), part.beside)
            }
            Verdict::TooLarge { .. } => {
                self.halve(part.picks, part.beside, part.history);
                None
            }
            Verdict::Taken { answer } => {
                let then = Then::Rename { answer };
                part.doubt = Some(self.doubt(context, Instant::now(), false, then));
                self.parts.push(part);
                None
            }
            Verdict::Safe { answer } if part.picks.iter().all(|pick| pick.safe) => {
                self.refuse(context, batch, alone(part.picks, &answer), part.beside)
            }
            Verdict::Safe { .. } => {
                part.picks.iter_mut().for_each(|pick| pick.safe = true);
                self.parts.push(part);
                None
            }
            Verdict::Refuse { answer } => {
                self.refuse(context, batch, alone(part.picks, &answer), part.beside)
            }
            Verdict::Stop { answer, hint } => {
                context.tell.stopped(&answer, &hint);
                self.parts.push(part);
                Some(self.backoff.longest())
            }
        }
    }

    /// Some of a part were refused and the others may have been stored: finds out which.
    fn narrow(
        &mut self,
        context: &Context,
        batch: &Batch,
        mut part: Part,
        answer: String,
        all: bool,
    ) -> Option<Duration> {
        if part.picks.len() == 1 {
            // A time range is no sign that nothing else would be taken.
            return self.refuse(context, batch, alone(part.picks, &answer), all || part.beside);
        }
        let then = if all { Then::Refuse { answer } } else { Then::Halve { answer } };
        part.doubt = Some(self.doubt(context, Instant::now(), false, then));
        self.parts.push(part);
        None
    }

    #[expect(clippy::unused_self, reason = "reads as what it belongs to")]
    fn doubt(&self, context: &Context, until: Instant, unheard: bool, then: Then) -> Doubt {
        Doubt { until, unheard, scopes: [context.output.scope()].into(), then }
    }

    fn halve(&mut self, mut picks: Vec<Pick>, beside: bool, history: History) {
        let second = picks.split_off(picks.len() / 2);
        for picks in [second, picks] {
            self.parts.push(Part { beside, history, ..Part::new(picks, None) });
        }
    }

    /// Puts events aside for good; answers how long to wait if that cannot be done.
    pub(super) fn refuse(
        &mut self,
        context: &Context,
        batch: &Batch,
        refused: Refused,
        beside: bool,
    ) -> Option<Duration> {
        let events: Vec<_> =
            refused.iter().map(|(pick, answer)| (pick.event, answer.as_str())).collect();
        // Rare, and nothing else of this pipeline may go on before it is on disk.
        let kept =
            tokio::task::block_in_place(|| context.fate.refused(context, batch, &events, beside));
        if kept.is_ok() {
            return None;
        }
        // Tried again as a part of its own: by then there may be room, or the output may take it.
        let picks = refused.into_iter().map(|(pick, _)| pick).collect();
        self.parts.push(Part { beside, history: History::Earlier, ..Part::new(picks, None) });
        Some(self.backoff.longest())
    }
}

impl Part {
    fn new(picks: Vec<Pick>, doubt: Option<Doubt>) -> Self {
        let history = if doubt.is_some() { History::Earlier } else { History::New };
        Self { picks, doubt, throttled: 0, beside: false, history }
    }
}

impl Context {
    pub(super) fn delivered(&self, batch: &Batch, picks: &[Pick]) {
        if !picks.is_empty() {
            self.fate.delivered(batch, picks);
            self.tell.delivered(batch, picks);
        }
    }
}

/// Events that have one answer.
pub(super) fn alone(picks: Vec<Pick>, answer: &str) -> Refused {
    picks.into_iter().map(|pick| (pick, answer.to_owned())).collect()
}

/// Groups picks that have the same verdict, so that they go on together. Those that are refused keep each its answer.
fn alike(picks: &[Pick], verdicts: Vec<Verdict>) -> (Vec<(Vec<Pick>, Verdict)>, Refused) {
    let mut groups: Vec<(Vec<Pick>, Verdict)> = Vec::new();
    let mut refused = Refused::new();
    for (pick, verdict) in picks.iter().zip(verdicts) {
        if let Verdict::Refuse { answer } = verdict {
            refused.push((*pick, answer));
            continue;
        }
        let same =
            |other: &Verdict| std::mem::discriminant(other) == std::mem::discriminant(&verdict);
        match groups.iter_mut().find(|(_, other)| same(other)) {
            Some((group, _)) => group.push(*pick),
            None => groups.push((vec![*pick], verdict)),
        }
    }
    (groups, refused)
}
