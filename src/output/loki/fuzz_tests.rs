//! Any answer of a Loki: what must hold of its verdict.

use std::time::Duration;

use super::{lookup, scan, verdict};
use crate::output::Verdict;

/// The verdict on a push; and the body as the answer to a look-up.
pub(in crate::output) fn answer(status: u16, after: Option<Duration>, body: &[u8]) -> Verdict {
    lookup::fuzz(body);
    scan::fuzz(body);
    let verdict = verdict::judge(status, after, body);
    let stored = (200..300).contains(&status);
    assert_eq!(stored, verdict == Verdict::Delivered, "{status}");
    match &verdict {
        Verdict::Refuse { .. } | Verdict::Safe { .. } => assert_eq!(status, 0, "halving tells"),
        // Some of it may be stored.
        Verdict::Retry { .. } | Verdict::TooLarge { .. } => assert!(status < 500 && status != 400),
        _ => {}
    }
    verdict
}
