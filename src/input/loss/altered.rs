//! Handles an altered file: it no longer holds the bytes that were acknowledged, because a power cut lost its end, or
//! because somebody truncated, rewrote or replaced it.
//!
//! The reader resumes at the furthest acknowledged offset up to which the file is unchanged. Positions get a new
//! fingerprint, because other events may now be at the same offsets. The agent may have delivered the events beyond
//! that offset already. So it looks them up before it sends them again, to avoid duplicates.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::gap::{Gap, LostBytes};
use crate::event::{Earlier, Fingerprint, GapReason, Key, Progress};
use crate::input::file::generation::{Generation, OpenFile};
use crate::input::file::source::{Source, Trouble};
use crate::input::pulse::Pulse;

/// The most earlier fingerprints under which an event is looked up: files are not altered often.
const EARLIER: u32 = 8;

/// The gap of an altered file, of which `length` bytes were seen. It moves the reader back to `unchanged`.
pub(crate) fn gap(
    generation: &Generation,
    before: &Progress,
    unchanged: Option<Earlier>,
    length: u64,
) -> Gap {
    let offset = unchanged.map_or(0, |place| place.at);
    let progress = Progress {
        offset,
        time: unchanged.and_then(|place| place.time),
        mark: unchanged.map(|place| place.mark),
        marks: before.marks.before(offset),
        alterations: before.alterations + 1,
        maybe_delivered_below: before.maybe_delivered_below.max(before.offset),
        ..Progress::default()
    };
    // The bytes that were read are delivered; those after them that were never read are lost.
    let lost = LostBytes::AtLeast(length.saturating_sub(before.offset));
    let whose = (generation.fingerprint, Arc::clone(&generation.name));
    Gap { progress, ..Gap::rest(GapReason::Truncated, whose, before.clone(), lost) }
}

/// The furthest passed mark that the file still matches.
///
/// # Errors
/// If the file cannot be read, or is another one by now.
pub(crate) fn unchanged(
    generation: &Generation,
    held: &OpenFile,
    progress: &Progress,
    key: &Key,
    pulse: &Pulse,
) -> Result<Option<Earlier>, Trouble> {
    for earlier in progress.marks.iter().rev() {
        match Source::open(held.clone(), earlier.at, &generation.probe, pulse) {
            Ok(source) if source.matches(earlier.mark, key)? => return Ok(Some(*earlier)),
            Ok(_) | Err(Trouble::Short | Trouble::Damaged { .. }) => {}
            Err(other) => return Err(other),
        }
    }
    Ok(None)
}

/// The fingerprint used in positions.
pub(crate) fn altered_print(fingerprint: Fingerprint, altered: u32) -> Fingerprint {
    if altered == 0 {
        return fingerprint;
    }
    Fingerprint::cut(
        &Sha256::new().chain_update(fingerprint.0).chain_update(altered.to_be_bytes()).finalize(),
    )
}

/// The fingerprints used in positions before, the latest first.
pub(crate) fn earlier_prints(fingerprint: Fingerprint, altered: u32) -> Vec<Fingerprint> {
    let earliest = altered.saturating_sub(EARLIER);
    (earliest..altered).rev().map(|altered| altered_print(fingerprint, altered)).collect()
}
