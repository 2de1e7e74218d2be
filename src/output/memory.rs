//! The upper bound of the memory that requests take, per kind of output; `cli` adds it to the memory of the pipelines.
//!
//! The bound holds for lines that an API server writes: JSON, in which an escape takes two bytes at most. It does not
//! depend on how long a back end hangs or on how much is waiting to be sent.

use super::{elasticsearch, falco, loki};
use crate::config::OutputKind;

/// Request bodies are built on this many threads: those of the runtime.
pub(crate) const MAKERS: u64 = 2;

/// The in-flight events of one output, and its longest chunk.
pub(crate) struct Load {
    pub(crate) requests: u64,
    pub(crate) bytes: u64,
    pub(crate) events: u64,
    pub(crate) longest: u64,
    /// Most events of one request.
    pub(crate) most_events: u64,
}

/// Bytes of the bodies, the answers and the buffers for building them, for all requests of one output for one input.
pub(crate) fn requests(kind: &OutputKind, load: &Load) -> u64 {
    let Load { requests, bytes, events, longest, most_events } = *load;
    match kind {
        OutputKind::Loki(_) => {
            let packed = |plain: u64| plain + plain / 6;
            let (all, one) =
                (loki::plain_bytes(bytes, events), loki::plain_bytes(longest, most_events));
            // A look-up starts only when its request is over.
            let waiting = packed(all).max(requests * (loki::LOOK_UP + longest));
            waiting + MAKERS * (one + packed(one)) + loki::KEPT_BYTES
        }
        OutputKind::Elasticsearch(_) => {
            let answer = elasticsearch::most(most_events) as u64;
            // The answer as received, and the verdicts parsed from it.
            elasticsearch::body_bytes(bytes, events) + requests * 2 * answer
        }
        OutputKind::Falco(_) => falco::body_bytes(bytes, events),
        OutputKind::File(_) => longest + super::file::KEPT,
    }
}

/// Bytes that a line of this length needs at most: for the line in the buffer for large lines, for the request body
/// with it, and for either the compression buffer or, if the line is refused, the dead letter.
pub(crate) fn large(line: u64) -> u64 {
    line * 7 / 2
}
