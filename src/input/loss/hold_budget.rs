//! Reports to a reader, as gaps, the generations that were removed because the hold budget was exceeded.

use std::sync::Arc;

use super::gap::{Gap, LostBytes};
use crate::event::{GapReason, Progress};
use crate::input::file::generation::Generation;

/// The gap of a generation that was removed before this reader had read it to its end; over no bytes if it had.
pub(crate) fn gap(generation: &Generation, before: Progress) -> Gap {
    let bytes = generation.length.saturating_sub(before.offset);
    // The trailer of a compressed file holds the length modulo 2^32.
    let lost = if generation.gzip { LostBytes::AtLeast(bytes) } else { LostBytes::Exactly(bytes) };
    let whose = (generation.fingerprint, Arc::clone(&generation.name));
    let gap = Gap::rest(GapReason::BudgetSpent, whose, before, lost);
    Gap { from: gap.from.or(generation.time), ..gap }
}
