//! A file that no longer holds what was acknowledged: the kernel lost its end in a power cut, or somebody cut it,
//! wrote it anew or put another in its place.
//!
//! It is read on from the furthest place up to which it still is what it was, under ids of its own, for other events
//! may stand now at the same offsets. What was delivered from behind that place is looked up before it is sent again.

use sha2::{Digest as _, Sha256};

use super::generation::{Generation, OpenFile};
use super::reader::{Gap, Reader};
use super::source::{Source, Trouble};
use crate::event::{Earlier, Fingerprint, Progress};
use crate::telemetry::GapReason;

/// Earlier names under which an event is looked for, at most: files are not altered often.
const EARLIER: u32 = 8;

impl Reader {
    /// Whether a file is still what it was up to the offset at which it was opened.
    pub(super) fn is_unaltered(
        &self,
        source: &Source,
        progress: &Progress,
    ) -> std::io::Result<bool> {
        progress.mark.map_or(Ok(true), |mark| source.matches(mark, &self.key))
    }

    /// Goes back to where the file is still what it was.
    pub(super) fn altered(
        &mut self,
        generation: &Generation,
        held: &OpenFile,
        progress: &Progress,
    ) -> Result<Gap, Trouble> {
        self.open = None;
        let prefix = self.prefix(generation, held, progress)?;
        let again = Progress {
            offset: prefix.map_or(0, |prefix| prefix.at),
            time: prefix.and_then(|prefix| prefix.time),
            mark: prefix.map(|prefix| prefix.mark),
            marks: progress.marks.before(prefix.map_or(0, |prefix| prefix.at)),
            alterations: progress.alterations + 1,
            maybe_delivered_below: progress.maybe_delivered_below.max(progress.offset),
            ..Progress::default()
        };
        self.advance(generation.fingerprint, again.clone());
        Ok(Gap {
            reason: GapReason::Truncated,
            generation: generation.fingerprint,
            file: generation.name.clone(),
            offset: progress.offset,
            // What was read of it is delivered; what stood behind that and was never read is lost.
            bytes: self.losses.cut(generation).saturating_sub(progress.offset),
            at_least: true,
            from: progress.time,
            to: None,
            progress: again,
        })
    }

    /// The furthest place passed that the file still holds.
    fn prefix(
        &self,
        generation: &Generation,
        held: &OpenFile,
        progress: &Progress,
    ) -> Result<Option<Earlier>, Trouble> {
        for earlier in progress.marks.iter().rev() {
            match Source::open(held.clone(), earlier.at, &generation.probe, &self.pulse) {
                Ok(source) if source.matches(earlier.mark, &self.key)? => {
                    return Ok(Some(*earlier));
                }
                Ok(_) | Err(Trouble::Short | Trouble::Damaged { .. }) => {}
                Err(other) => return Err(other),
            }
        }
        Ok(None)
    }
}

/// The fingerprint that positions are given under.
pub(super) fn altered_print(fingerprint: Fingerprint, altered: u32) -> Fingerprint {
    if altered == 0 {
        return fingerprint;
    }
    Fingerprint::cut(
        &Sha256::new().chain_update(fingerprint.0).chain_update(altered.to_be_bytes()).finalize(),
    )
}

/// The fingerprints that positions were given under before, the latest first.
pub(super) fn earlier_prints(fingerprint: Fingerprint, altered: u32) -> Vec<Fingerprint> {
    let earliest = altered.saturating_sub(EARLIER);
    (earliest..altered).rev().map(|altered| altered_print(fingerprint, altered)).collect()
}
