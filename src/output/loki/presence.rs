//! Whether Loki holds any entry of a time range: queries for one entry each.
//!
//! A replay asks before its first push. The answer is "nothing" only if Loki answered for the whole range. If Loki's
//! settings hide entries from queries (`preflight.rs` names those settings), a look-up would not see them either.

use std::ops::Range;

use super::Loki;
use super::question::{Question, Trouble, ask};
use super::scan::holds_entries;
use super::scope::Scope;
use crate::event::Nanos;
use crate::output::QueryError;

const HOUR: Nanos = 3_600_000_000_000;
/// Longest range of one query: Loki's own limit is 30 days and an hour.
const LONGEST: Nanos = 720 * HOUR;
/// No Loki in use limits queries to less than this.
const SHORTEST: Nanos = HOUR / 4;

/// Whether anything is stored in `scope` in this time range.
pub(in crate::output) async fn holds_any(
    loki: &Loki,
    scope: &str,
    range: Range<Nanos>,
) -> Result<bool, QueryError> {
    match any(loki, &Scope::of_text(scope)?, range).await {
        Ok(found) => Ok(found),
        // An entry that is too large for an answer is stored all the same.
        Err(Trouble::TooLarge) => Ok(true),
        Err(Trouble::Later(error)) => Err(error),
        Err(Trouble::Unavailable(answer) | Trouble::TooLong(answer)) => {
            Err(QueryError::Unavailable { answer })
        }
    }
}

/// Whether there is an entry in the range; queried in parts that Loki answers.
async fn any(loki: &Loki, scope: &Scope, range: Range<Nanos>) -> Result<bool, Trouble> {
    let Range { mut start, end } = range;
    let mut most = LONGEST;
    while start < end {
        let part = start..end.min(start.saturating_add(most));
        match ask(loki, scope, &Question { range: part.clone(), limit: 1 }).await {
            Ok(body) if holds_entries(&body)? => return Ok(true),
            Ok(_) => start = part.end,
            Err(Trouble::TooLong(_)) if most > SHORTEST => most /= 2,
            Err(other) => return Err(other),
        }
    }
    Ok(false)
}
