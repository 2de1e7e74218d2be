//! `auditrail verify`: checks that every event on disk is also in the store, the back end of an output. Both sides
//! are read in the order of time and compared event by event, in bounded memory.
//!
//! The log is only nearly in order, so it is sorted first, as short records (`log.rs`, `sort.rs`). The store is
//! queried page by page (`remote.rs`). `compare.rs` compares the two sides, `expect.rs` says which events must be in
//! the store, `coverage.rs` which events of the store must be on disk, and `findings.rs` holds the result.
//!
//! Promised: each event on disk that must be in the store is found there or reported as missing, whatever the log
//! holds. Neither side is changed. Not promised: that the store shows everything that it has. Loki does not query its
//! ingesters for old data, and no store shows data before its refresh.

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

use crate::output::{Comparable, Digest, Queryable};
use coverage::Coverage;
use remote::Store;

/// Compares the log with the contents of the scopes of an output. `began`: when the first file was opened, in
/// milliseconds since 1970.
///
/// # Errors
/// If the store does not answer, or if there is no room to sort.
pub(crate) async fn verify(
    sides: Sides,
    output: Queryable<'_>,
    scopes: &[String],
    digest: &Digest,
    began: i64,
    room: &Room,
) -> Result<Findings, CompareError> {
    let coverage = Coverage::new(&sides.generations, began);
    let stretches = sides.stretches.clone();
    let hides_repeats = output.capabilities().comparable == Comparable::HidesRepeats;
    let store = Store::new(output, digest, &stretches, scopes, sides.usual);
    compare::compare(sides, store, &coverage, hides_repeats, room).await
}
