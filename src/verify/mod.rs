//! Is everything that is on disk also in the store? Both sides in the order of time, in bounded memory, event by event.
//!
//! The log is only nearly in order, so it is sorted first, as short records (`log.rs`, `sort.rs`); the store is asked page
//! by page (`remote.rs`); `compare.rs` goes through both, `expect.rs` says what has to be there, `coverage.rs` what may be,
//! and `findings.rs` holds what came out.
//!
//! Promised: each event on disk that has to be in the store is found there or told as missing, whatever the log holds.
//! Nothing is changed, here or there. Not promised: that the store shows all that it has; Loki does not look at its
//! ingesters for what is old, and no store shows what it has not refreshed.

mod compare;
mod coverage;
mod expect;
mod findings;
mod log;
mod remote;
mod sort;

pub(crate) use compare::CompareError;
pub(crate) use expect::Delivered;
pub(crate) use findings::{Beside, Fault, Findings, Missing, Noted, Tally};
pub(crate) use log::{Log, Sides, Stretch};
pub(crate) use sort::Room;

use crate::output::{Digest, Output};
use coverage::Coverage;
use remote::Store;

/// Compares the log with what the scopes of an output hold. `began`: when the first file was opened, in milliseconds
/// since 1970.
///
/// # Errors
/// If the store does not answer, or there is no room to sort in.
pub(crate) async fn verify(
    sides: Sides,
    output: &Output,
    scopes: &[String],
    digest: &Digest,
    began: i64,
    room: &Room,
) -> Result<Findings, CompareError> {
    let coverage = Coverage::new(&sides.generations, began);
    let stretches = sides.stretches.clone();
    let store = Store::new(output, digest, &stretches, scopes, sides.usual);
    compare::compare(sides, store, &coverage, output.hides_repeats(), room).await
}
