//! Events of a chunk that share their fate: sent together, looked up together, or waiting together.

use std::sync::Arc;
use std::time::Instant;

use crate::output::{EventRef, Reason, Verdict};

/// Requests answered "slow down" in a row, after which a part is halved: it may be larger than what is ever let through.
/// A time-out counts twice: over a slow link a large request may never arrive within it.
const PATIENCE: u32 = 4;

/// Events that are sent together.
pub(in crate::pipeline) struct Part {
    pub(in crate::pipeline) picks: Vec<EventRef>,
    pub(super) doubt: Option<Doubt>,
    /// Of [`PATIENCE`].
    pub(super) throttled: u32,
    /// Others that were sent with these were taken: what is refused of these is refused for its content.
    pub(super) beside: bool,
    pub(super) stuck: Option<Stuck>,
    pub(in crate::pipeline) history: History,
}

/// Whether the events of a part may have been sent before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::pipeline) enum History {
    /// By nobody that this process knows of.
    New,
    /// By an earlier process, or by another command.
    Earlier,
    /// By this process, which did not hear an answer.
    Unheard,
}

/// Why a part waits for somebody to mend something.
#[derive(Clone)]
pub(super) struct Stuck {
    pub(super) answer: String,
    pub(super) hint: String,
    /// Just these events are refused, so that they may be put aside.
    pub(super) aside: bool,
    /// Tried again then.
    pub(super) until: Instant,
}

/// Events that will never be taken, each with its answer.
pub(in crate::pipeline) type Refused = Vec<(EventRef, String)>;

/// Why a part has to be looked up first.
#[derive(Clone)]
pub(super) struct Doubt {
    /// Not before: until then the attempt may still arrive.
    pub(super) until: Instant,
    /// Nobody heard an answer, so that the attempt may still wait where the back end has not read it.
    pub(super) unheard: bool,
    pub(super) scopes: Arc<[String]>,
    pub(super) then: Then,
}

/// What is done with the events that a look-up does not find.
#[derive(Clone)]
pub(super) enum Then {
    Send,
    /// They are among those of which some were refused: a single one is the culprit, several are sent by halves.
    Halve {
        own: bool,
        answer: String,
    },
    Refuse {
        answer: String,
    },
    /// Their ids are taken by other documents: they are sent under others.
    Rename {
        answer: String,
    },
    /// They are taken later, or once something is mended.
    Wait {
        answer: String,
        hint: String,
    },
}

impl Part {
    pub(super) fn new(picks: Vec<EventRef>, doubt: Option<Doubt>) -> Self {
        let history = if doubt.is_some() { History::Earlier } else { History::New };
        Self { picks, doubt, throttled: 0, beside: false, stuck: None, history }
    }

    /// A request with it did not get through, for this reason.
    pub(super) fn count(&mut self, reason: Reason) {
        self.throttled = match reason {
            Reason::Throttled => self.throttled + 1,
            Reason::Timeout => self.throttled + PATIENCE / 2,
            _ => 0,
        };
    }

    /// Whether it is time to try it by halves.
    pub(super) fn may_be_too_large(&self) -> bool {
        self.throttled >= PATIENCE && self.picks.len() > 1
    }
}

/// Events that have one answer.
pub(in crate::pipeline) fn alone(picks: Vec<EventRef>, answer: &str) -> Refused {
    picks.into_iter().map(|pick| (pick, answer.to_owned())).collect()
}

/// Groups picks that have the same verdict, so that they go on together. Those that are refused keep each its answer.
pub(super) fn alike(
    picks: &[EventRef],
    verdicts: Vec<Verdict>,
) -> (Vec<(Vec<EventRef>, Verdict)>, Refused) {
    let mut groups: Vec<(Vec<EventRef>, Verdict)> = Vec::new();
    let mut refused = Refused::new();
    for (pick, verdict) in picks.iter().zip(verdicts) {
        if let Verdict::Refuse { answer } = verdict {
            refused.push((*pick, answer));
            continue;
        }
        let same = |other: &Verdict| match other {
            // Those that wait keep their answer, too.
            Verdict::Stop { .. } => *other == verdict,
            _ => std::mem::discriminant(other) == std::mem::discriminant(&verdict),
        };
        match groups.iter_mut().find(|(_, other)| same(other)) {
            Some((group, _)) => group.push(*pick),
            None => groups.push((vec![*pick], verdict)),
        }
    }
    (groups, refused)
}
