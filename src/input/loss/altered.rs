//! Handles an altered file, which no longer holds what was acknowledged: a power cut lost its end, or somebody
//! truncated, rewrote or replaced it.
//!
//! Reading resumes at the furthest acknowledged offset up to which the file is unchanged. Positions get a new
//! fingerprint, because other events may now stand at the same offsets. Events beyond that offset may have been
//! delivered already, so they are looked up before they are sent again, to avoid duplicates.

use sha2::{Digest as _, Sha256};

use crate::event::{Earlier, Fingerprint, Progress};
use crate::input::file::generation::{Generation, OpenFile};
use crate::input::file::source::{Source, Trouble};
use crate::input::read::reader::{Gap, Reader};
use crate::telemetry::GapReason;

/// The most earlier fingerprints under which an event is looked up: files are not altered often.
const EARLIER: u32 = 8;

impl Reader {
    /// Whether a file is unchanged up to the offset at which it was opened.
    pub(crate) fn is_unaltered(
        &self,
        source: &Source,
        progress: &Progress,
    ) -> std::io::Result<bool> {
        progress.mark.map_or(Ok(true), |mark| source.matches(mark, &self.key))
    }

    /// Moves the reader back to the furthest offset up to which the file is unchanged.
    pub(crate) fn altered(
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
            // The bytes that were read are delivered; those after them that were never read are lost.
            bytes: self.losses.cut(generation).saturating_sub(progress.offset),
            at_least: true,
            from: progress.time,
            to: None,
            progress: again,
        })
    }

    /// The furthest passed mark that the file still matches.
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
