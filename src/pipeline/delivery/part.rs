//! A part: events of one chunk that are sent together, looked up together, or wait together.

use std::sync::Arc;
use std::time::Instant;

use crate::event::RetryReason;
use crate::output::{EventRef, Verdict};

/// A part is halved after this many requests in a row that were answered "slow down" (throttled): it may be larger
/// than the output ever lets through. A time-out counts twice: over a slow link a large request may never arrive in
/// time.
const PATIENCE: u32 = 4;

/// What an operator can do about events that the output refuses singly.
pub(super) const ALONE: &str = "the answer does not say whether the event's content is the cause: check the store's log; to store the event as a dead \
     letter, run `auditrail dead-letters set-aside`";
pub(super) const AHEAD: &str = "the time of these events is ahead of this machine's clock: check the clock (NTP); the agent retries until the store \
     accepts them";

/// Events that are sent together.
pub(in crate::pipeline) struct Part {
    pub(in crate::pipeline) picks: Vec<EventRef>,
    pub(super) doubt: Option<Doubt>,
    /// Counts up to [`PATIENCE`].
    pub(super) throttled: u32,
    /// The output took other events of the same request, so a refusal of these is about their content.
    pub(super) beside: bool,
    pub(super) stuck: Option<Stuck>,
    pub(in crate::pipeline) history: History,
}

/// Whether the events of a part may have been sent before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::pipeline) enum History {
    /// Nobody has sent them, as far as this process knows.
    New,
    /// An earlier process or another command may have sent them.
    Earlier,
    /// This process sent them and received no answer.
    Unheard,
}

/// Why a part waits for an operator to fix something.
#[derive(Clone)]
pub(super) struct Stuck {
    pub(super) answer: String,
    pub(super) hint: String,
    /// The output refuses these events only, so they may become dead letters.
    pub(super) aside: bool,
    /// When to retry.
    pub(super) until: Instant,
}

/// Events that the output will never take, each with its answer.
pub(in crate::pipeline) type Refused = Vec<(EventRef, String)>;

/// Why a part has to be looked up before it is sent.
#[derive(Clone)]
pub(super) struct Doubt {
    /// When to look up; until then the request may still arrive.
    pub(super) until: Instant,
    /// No answer arrived, so the request may still sit in a buffer that the output has not read.
    pub(super) unheard: bool,
    pub(super) scopes: Arc<[String]>,
    pub(super) then: Then,
}

/// What to do with the events that a look-up does not find.
#[derive(Clone)]
pub(super) enum Then {
    Send,
    /// The output refused some of the request: a single missing event is the culprit, several are sent in halves.
    Halve {
        own: bool,
        answer: String,
    },
    Refuse {
        answer: String,
    },
    /// Other documents have their ids: they are sent under the next ids.
    Rename {
        answer: String,
    },
    /// The output takes them later, or once an operator has fixed something.
    Wait {
        answer: String,
        hint: String,
    },
}

impl Doubt {
    /// A request that was answered may have stored events in this scope: look them up now.
    pub(super) fn of(scope: String, then: Then) -> Self {
        Self { until: Instant::now(), unheard: false, scopes: [scope].into(), then }
    }
}

impl Part {
    pub(super) fn new(picks: Vec<EventRef>, doubt: Option<Doubt>) -> Self {
        let history = if doubt.is_some() { History::Earlier } else { History::New };
        Self { picks, doubt, throttled: 0, beside: false, stuck: None, history }
    }

    /// Counts a request for this part that failed for this reason.
    pub(super) fn count(&mut self, reason: RetryReason) {
        self.throttled = match reason {
            RetryReason::Throttled => self.throttled + 1,
            RetryReason::Timeout => self.throttled + PATIENCE / 2,
            _ => 0,
        };
    }

    /// Whether to send it in halves from now on.
    pub(super) fn may_be_too_large(&self) -> bool {
        self.throttled >= PATIENCE && self.picks.len() > 1
    }
}

/// Events that share one answer.
pub(in crate::pipeline) fn alone(picks: Vec<EventRef>, answer: &str) -> Refused {
    picks.into_iter().map(|pick| (pick, answer.to_owned())).collect()
}

/// Groups events with the same verdict, so that each group is handled at once. Refused events keep one answer each.
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
            // Parts that wait keep their answers apart, too.
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
