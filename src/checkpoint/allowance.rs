//! When a pipeline may send, so that a crash leads to no duplicates, or to few: three kinds of ledger.
//!
//! - *Reserving*, for an output that can be queried: before anything is sent, a checkpoint reserves the bytes. After a
//!   kill the reserved bytes are in doubt, and their events are looked up.
//! - *Cut back*, for a file: at the start the file is truncated to the mark in the checkpoint. So nothing is in doubt,
//!   and sending is allowed once a checkpoint holds the first mark.
//! - *One by one*, for an output that can do neither: before a request is sent, a checkpoint holds the cursor after
//!   the last one. So a kill leaves one request in doubt at most, and that one is sent again. The pipeline of such an output
//!   has one request in flight.

use super::{ALL, Pair};

/// Bytes that may be sent beyond the saved cursor. It is large enough that one checkpoint per interval seldom makes a
/// pipeline wait, and small enough that looking up the events in doubt after a kill takes moments.
pub(crate) const RESERVE: u64 = 64 << 20;

/// The kind of a ledger, and its state.
pub(super) enum Allowance {
    Reserving(Reservation),
    CutBack(CutBack),
    OneByOne(OneByOne),
}

/// The state of a reserving ledger. Bytes are counted since the start, as the reader hands them out.
pub(super) struct Reservation {
    /// Bytes acknowledged to this process.
    acked: u64,
    /// Sending is allowed up to here.
    grant: u64,
    /// The highest end that was granted to the pipeline. So much may have been sent.
    used: u64,
    /// Bytes beyond `acked` to reserve at the next save.
    reserve: u64,
    /// Bytes beyond the cursor that an earlier process may have sent and that this one has not passed yet.
    old: u64,
    /// Gaps entered that a checkpoint holds.
    gaps_written: u64,
}

/// The state of a ledger whose file is truncated at the start.
#[derive(Default)]
pub(super) struct CutBack {
    /// A checkpoint holds the first mark.
    marked: bool,
}

/// The state of a ledger that saves the cursor after each request.
#[derive(Default)]
pub(super) struct OneByOne {
    /// How often something was acknowledged.
    moves: u64,
    /// As many of these moves are in a checkpoint; `None` before the first one.
    saved: Option<u64>,
    /// Gaps entered that a checkpoint holds.
    gaps_written: u64,
}

impl OneByOne {
    fn is_saved(&self) -> bool {
        self.saved == Some(self.moves)
    }
}

impl Allowance {
    /// A reserving ledger; an earlier process may have sent `old` bytes beyond the cursor.
    pub(super) fn reserving(old: u64) -> Self {
        let (acked, grant, used, gaps_written) = (0, 0, 0, 0);
        Self::Reserving(Reservation { acked, grant, used, reserve: RESERVE, old, gaps_written })
    }

    /// Records that sending up to `end` may happen, if it is allowed; returns whether it is.
    pub(super) fn allows(&mut self, end: u64) -> bool {
        match self {
            Self::Reserving(state) => {
                let granted = end <= state.grant;
                if granted {
                    state.used = state.used.max(end);
                }
                granted
            }
            Self::CutBack(state) => state.marked,
            Self::OneByOne(state) => state.is_saved(),
        }
    }

    /// Whether the first `entered` gaps may be sent.
    pub(super) fn allows_gaps(&self, entered: u64) -> bool {
        match self {
            Self::Reserving(state) => state.gaps_written >= entered,
            Self::CutBack(state) => state.marked,
            Self::OneByOne(state) => state.is_saved() && state.gaps_written >= entered,
        }
    }

    /// Asks the next checkpoint to allow sending up to `end`.
    pub(super) fn want(&mut self, end: u64) {
        if let Self::Reserving(state) = self {
            // Doubled, so that a fast back end waits for few checkpoints.
            state.reserve = state.reserve.max((end - state.acked).saturating_mul(2));
        }
    }

    /// Whether a pipeline will soon wait: half of the grant is used, and a save would add to it.
    pub(super) fn runs_short(&self) -> bool {
        let Self::Reserving(state) = self else { return false };
        let left = state.grant.saturating_sub(state.used);
        let gain = state.acked.saturating_add(state.reserve).saturating_sub(state.grant);
        left < state.reserve / 2 && gain >= state.reserve / 4
    }

    pub(super) fn acknowledge(&mut self, bytes: u64) {
        match self {
            Self::Reserving(state) => {
                state.acked += bytes;
                if state.old != ALL {
                    state.old = state.old.saturating_sub(bytes);
                }
            }
            Self::CutBack(_) => {}
            Self::OneByOne(state) => state.moves += 1,
        }
    }

    /// Gaps were acknowledged. Their bytes count when the cursor passes them.
    pub(super) fn acknowledge_gaps(&mut self) {
        if let Self::OneByOne(state) = self {
            state.moves += 1;
        }
    }

    /// From here on, an earlier process may have sent everything that this one has not passed yet.
    pub(super) fn doubt_all(&mut self) {
        if let Self::Reserving(state) = self {
            state.old = ALL;
        }
    }

    /// Gives a doubt without a bound ([`ALL`]) one: it ends at `taken`. What the reader has handed out up to there
    /// stays in doubt until it is acknowledged.
    pub(super) fn bound_doubt(&mut self, taken: u64) {
        if let Self::Reserving(state) = self
            && state.old == ALL
        {
            state.old = taken.saturating_sub(state.acked);
        }
    }

    /// Whether an earlier process may have sent bytes that this one has not passed yet.
    pub(super) fn is_in_doubt(&self) -> bool {
        matches!(self, Self::Reserving(state) if state.old > 0)
    }

    /// Everything that was sent is acknowledged: reserves nothing more.
    pub(super) fn settle(&mut self) {
        if let Self::Reserving(state) = self {
            (state.reserve, state.grant, state.used) = (0, state.acked, state.acked);
        }
    }

    /// Completes what the next checkpoint will hold of the pair; returns the number of acknowledged bytes, or of moves
    /// where each is saved.
    pub(super) fn complete(&mut self, pair: &mut Pair) -> u64 {
        match self {
            Self::Reserving(state) => {
                let used = state.used.saturating_sub(state.acked);
                pair.reserved = state.reserve.max(state.old).max(used);
                // From here on the checkpoint file may hold this reservation, even if the write is reported as failed.
                state.grant = state.grant.min(state.acked.saturating_add(pair.reserved));
                state.acked
            }
            Self::CutBack(_) => {
                pair.reserved = 0;
                // After a kill the file is truncated to its mark, so the same gap is detected again as if for the
                // first time.
                pair.gaps.clear();
                0
            }
            Self::OneByOne(state) => {
                // Nothing beyond the cursor is ever looked up.
                pair.reserved = 0;
                state.moves
            }
        }
    }

    /// A checkpoint was written that reserves so many bytes beyond `acked` and holds so many of the gaps.
    pub(super) fn saved(&mut self, acked: u64, reserved: u64, gaps: u64) {
        match self {
            Self::Reserving(state) => {
                state.grant = acked.saturating_add(reserved);
                state.gaps_written = gaps;
            }
            Self::CutBack(state) => state.marked = true,
            Self::OneByOne(state) => (state.saved, state.gaps_written) = (Some(acked), gaps),
        }
    }
}
