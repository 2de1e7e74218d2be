//! What the store holds of a stretch of time, asked for with one entry an answer: anything at all, and the newest.
//!
//! A replay asks before its first push. Nothing is said not to be there unless Loki answered for the whole stretch. What
//! a question cannot see for Loki's own settings (`preflight.rs` names them) a look-up would not see either.

use std::ops::Range;

use super::Loki;
use super::lookup::entries;
use super::question::{Question, Scope, Trouble, ask};
use crate::event::Nanos;
use crate::output::{Held, LookUp};

const HOUR: Nanos = 3_600_000_000_000;
const DAY: Nanos = 24 * HOUR;
/// Longest stretch of one question: Loki's own limit is 30 days and an hour.
const LONGEST: Nanos = 30 * DAY;
/// A limit below this is none that a Loki in use has.
const SHORTEST: Nanos = HOUR / 4;
/// How far back the newest entry is looked for. Each question begins where the one before it did not look any more.
const BACK: [Nanos; 6] = [HOUR, 6 * HOUR, DAY, 5 * DAY, 15 * DAY, 30 * DAY];
/// Clocks differ: Loki takes what is up to ten minutes ahead of its own.
const AHEAD: Nanos = HOUR;

/// Is anything stored in `scope` with a time in this stretch?
pub(super) async fn holds_any(loki: &Loki, scope: &str, range: Range<Nanos>) -> Held {
    let scope = match Scope::of_text(scope) {
        Ok(scope) => scope,
        Err(answer) => return Held::Unavailable { answer },
    };
    match first(loki, &scope, range, false).await {
        Ok(Some(_)) => Held::Yes,
        Ok(None) => Held::No,
        Err(Trouble::Later(LookUp::Retry { after, reason, answer })) => {
            Held::Retry { after, reason, answer }
        }
        // One entry that is too large for an answer is one.
        Err(Trouble::TooLarge) => Held::Yes,
        Err(Trouble::Unavailable(answer) | Trouble::TooLong(answer)) => {
            Held::Unavailable { answer }
        }
        Err(Trouble::Later(other)) => Held::Unavailable { answer: format!("{other:?}") },
    }
}

/// The time of the newest entry of the one stream that all events go to where hours have none of their own.
pub(super) async fn newest(loki: &Loki, now: Nanos) -> Option<Nanos> {
    let scope = Scope { tenant: loki.config.tenant.clone(), selector: loki.labels.without_hours() };
    let mut end = now.saturating_add(AHEAD);
    for back in BACK {
        let start = now.saturating_sub(back);
        // What is not known here is found out by the first push.
        if let Some(time) = first(loki, &scope, start..end, true).await.ok()? {
            return Some(time);
        }
        end = start;
    }
    None
}

/// The time of one entry in the stretch, the latest or any, asked for in parts that Loki answers.
async fn first(
    loki: &Loki,
    scope: &Scope,
    range: Range<Nanos>,
    newest_first: bool,
) -> Result<Option<Nanos>, Trouble> {
    let Range { mut start, mut end } = range;
    let mut most = LONGEST;
    while start < end {
        let part = if newest_first {
            start.max(end.saturating_sub(most))..end
        } else {
            start..end.min(start.saturating_add(most))
        };
        match ask(loki, scope, &Question { range: part.clone(), limit: 1, newest_first }).await {
            Ok(body) => {
                if let Some(time) = entries(&body)?.into_iter().map(|(time, _)| time).max() {
                    return Ok(Some(time));
                }
            }
            Err(Trouble::TooLong(_)) if most > SHORTEST => {
                most /= 2;
                continue;
            }
            Err(other) => return Err(other),
        }
        if newest_first {
            end = part.start;
        } else {
            start = part.end;
        }
    }
    Ok(None)
}
