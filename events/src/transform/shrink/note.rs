//! The annotation of a shrunk event.

use super::parts::place_of_annotation;
use crate::event::Fingerprint;
use crate::transform::cuts::{Cuts, NOTE};

/// The facts in the annotation of a shrunk event, besides the parts that were cut.
pub(super) struct Note {
    pub(super) bytes: usize,
    pub(super) digest: Fingerprint,
}

impl Note {
    pub(super) fn value(&self, cuts: Cuts) -> String {
        format!("cut={cuts} bytes={} hmac-sha256={}", self.bytes, self.digest)
    }

    /// Inserts the annotation into the event at `out[begin..]` if the event then fits the limit; returns whether it
    /// did.
    pub(super) fn insert(&self, cuts: Cuts, begin: usize, limit: usize, out: &mut Vec<u8>) -> bool {
        let member = format!(r#""{NOTE}":"{}""#, self.value(cuts));
        let (at, text) = place_of_annotation(&out[begin..], &member);
        let fits = out.len() - begin + text.len() <= limit;
        if fits {
            out.splice(begin + at..begin + at, text.into_bytes());
        }
        fits
    }
}
