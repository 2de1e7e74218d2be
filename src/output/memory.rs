//! How much memory requests take at the most, by kind of output; `cli` adds it up with what the pipelines hold.
//!
//! Counted is what a server can write: JSON, in which an escape takes two bytes at the most. Nothing here depends on how
//! long a back end hangs or on how much waits.

use super::{elasticsearch, loki};
use crate::config::OutputKind;

/// Requests are made on as many threads as the runtime has.
pub(crate) const MAKERS: u64 = 2;

/// The events under way of one output, and the longest chunk among them.
pub(crate) struct Load {
    pub(crate) requests: u64,
    pub(crate) bytes: u64,
    pub(crate) events: u64,
    pub(crate) longest: u64,
    /// Of one request.
    pub(crate) most_events: u64,
}

/// Bodies, answers and the room in which they are made, of all requests of one output for one input.
pub(crate) fn requests(kind: &OutputKind, load: &Load) -> u64 {
    let Load { requests, bytes, events, longest, most_events } = *load;
    match kind {
        OutputKind::Loki(_) => {
            let packed = |plain: u64| plain + plain / 6;
            let (all, one) =
                (loki::plain_bytes(bytes, events), loki::plain_bytes(longest, most_events));
            // A look-up follows when its request is over.
            let waiting = packed(all).max(requests * (loki::LOOK_UP + longest));
            waiting + MAKERS * (one + packed(one)) + loki::KEPT_BYTES
        }
        OutputKind::Elasticsearch(_) => {
            let answer = elasticsearch::most(most_events) as u64;
            // The answer as it comes, and as the verdicts that it is read into.
            elasticsearch::body_bytes(bytes, events) + requests * 2 * answer
        }
        OutputKind::File(_) => longest + super::file::KEPT,
    }
}

/// What a line of so many bytes takes, in the one buffer for large ones and on its way: the line, the body made of it,
/// and the room in which that is compressed, or what is written down of it where it is refused.
pub(crate) fn large(line: u64) -> u64 {
    line * 7 / 2
}
