//! Fuzz target for Loki's answers: the invariants of the verdict.

use super::{scan, verdict};
use crate::output::Verdict;
use crate::output::http::Response;

/// Checks the verdict on a push, and parses the same body as the answer to a look-up.
pub(in crate::output) fn answer(response: &Response) -> Verdict {
    let Response { status, content_type, body, .. } = response;
    scan::fuzz(body);
    let verdict = verdict::judge(response);
    let stored = *status == 204 && body.is_empty();
    assert_eq!(stored, verdict == Verdict::Delivered, "{status}");
    let text = String::from_utf8_lossy(body).to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let plain = content_type.is_empty() || content_type.starts_with("text/plain");
    match &verdict {
        Verdict::Refuse { .. } | Verdict::UseFallbackForm { .. } => {
            assert_eq!(*status, 0, "halving tells");
        }
        // Some of the push may be stored.
        Verdict::Retry { .. } => assert!(*status < 500 && *status != 400),
        // Only Loki's own words make dead letters.
        Verdict::Split { own: true, .. } | Verdict::TooLarge { own: true, .. } => {
            assert!(
                plain
                    && says(&[
                        "bytes exceeded",
                        "structured metadata",
                        "larger than max",
                        "too large"
                    ])
            );
        }
        Verdict::OutOfRange { .. } => {
            assert!(plain && says(&["too far behind", "out of order", "too old"]));
        }
        Verdict::TooLarge { own: false, .. } => assert_eq!(*status, 413),
        _ => {}
    }
    verdict
}
