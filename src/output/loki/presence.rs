//! Whether Loki holds any entry of a time range, and the time of its newest entry: queries for one entry each.
//!
//! A replay asks before its first push. The answer is "nothing" only if Loki answered for the whole range. If Loki's
//! settings hide entries from queries (`preflight.rs` names those settings), a look-up would not see them either.

use std::ops::Range;

use super::Loki;
use super::lookup::entries;
use super::question::{Question, Scope, Trouble, ask};
use crate::event::Nanos;
use crate::output::{Held, LookUp};

const HOUR: Nanos = 3_600_000_000_000;
const DAY: Nanos = 24 * HOUR;
/// Longest range of one query: Loki's own limit is 30 days and an hour.
const LONGEST: Nanos = 30 * DAY;
/// No Loki in use limits queries to less than this.
const SHORTEST: Nanos = HOUR / 4;
/// How far back to search for the newest entry. Each query ends where the previous one began.
const BACK: [Nanos; 6] = [HOUR, 6 * HOUR, DAY, 5 * DAY, 15 * DAY, 30 * DAY];
/// How far ahead of our clock to search: Loki accepts entries up to ten minutes ahead of its own, and clocks differ.
const AHEAD: Nanos = HOUR;

/// Whether anything is stored in `scope` in this time range.
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
        // An entry that is too large for an answer is stored all the same.
        Err(Trouble::TooLarge) => Held::Yes,
        Err(Trouble::Unavailable(answer) | Trouble::TooLong(answer)) => {
            Held::Unavailable { answer }
        }
        Err(Trouble::Later(other)) => Held::Unavailable { answer: format!("{other:?}") },
    }
}

/// The time of the newest entry in the stream that all events share if `stream_per_hour` is off.
pub(super) async fn newest(loki: &Loki, now: Nanos) -> Option<Nanos> {
    let scope = Scope { tenant: loki.config.tenant.clone(), selector: loki.labels.without_hours() };
    let mut end = now.saturating_add(AHEAD);
    for back in BACK {
        let start = now.saturating_sub(back);
        // If the query fails, the first push shows whether events are too old.
        if let Some(time) = first(loki, &scope, start..end, true).await.ok()? {
            return Some(time);
        }
        end = start;
    }
    None
}

/// The time of one entry in the range, the newest or any; queried in parts that Loki answers.
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
