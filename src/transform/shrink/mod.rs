//! Shrinks (truncates) an event that is larger than the output accepts, step by step, until it fits.
//!
//! The steps remove, in this order and no further than needed: `managedFields`, `last-applied-configuration`,
//! `responseObject`, `requestObject`, the patches of webhooks, other annotations, `extra` and `groups` of the users.
//! If that is not enough, an extract of the envelope remains, in which long strings are cut (`extract.rs`). A line of
//! the legacy text format loses the ends of its values; a line that cannot be parsed loses its tail (`text.rs`).
//!
//! Promised: the result fits, and it is JSON if the line was. Its annotation [`NOTE`] says what is missing, how long
//! the event was, and a keyed digest (HMAC) of the event: with the node's key, one can prove that a line from a
//! backup is this event. The event still says who did what to which object, when, from where and with what result.
//! The same event always becomes the same bytes.
//! Not promised: removing the largest part first. Events that the API server itself truncated get no special
//! treatment.

use std::fmt;

use crate::event::{Fields, Fingerprint, Form, Key, pieces};

mod cut;
mod extract;
mod steps;
#[cfg(test)]
mod tests;
mod text;

use steps::ShrinkStep;

/// Annotation of an event that was shrunk; search for this name to find such events.
pub(crate) const NOTE: &str = "auditrail.io/shrunk";

/// The smallest limit in bytes that can be guaranteed: an extract fits it whatever the event holds.
pub(crate) const MIN_LIMIT: usize = 4096;

/// How an event was shrunk.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Shrunk {
    pub(crate) cuts: Cuts,
    /// Its new length in bytes.
    pub(crate) length: usize,
}

/// A part of an event that may be cut, in the order of cutting.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Cut {
    ManagedFields,
    LastApplied,
    ResponseObject,
    RequestObject,
    WebhookPatches,
    Annotations,
    Extra,
    Groups,
    /// The ends of long strings.
    Strings,
    /// Members that belong to no version of an event, or that matter least.
    Rest,
    /// The end of a line that is not JSON.
    Tail,
}

impl Cut {
    pub(crate) const ALL: [Self; 11] = [
        Self::ManagedFields,
        Self::LastApplied,
        Self::ResponseObject,
        Self::RequestObject,
        Self::WebhookPatches,
        Self::Annotations,
        Self::Extra,
        Self::Groups,
        Self::Strings,
        Self::Rest,
        Self::Tail,
    ];

    /// The word for it in the annotation.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::ManagedFields => "managedFields",
            Self::LastApplied => "last-applied-configuration",
            Self::ResponseObject => "responseObject",
            Self::RequestObject => "requestObject",
            Self::WebhookPatches => "webhook-patches",
            Self::Annotations => "annotations",
            Self::Extra => "extra",
            Self::Groups => "groups",
            Self::Strings => "strings",
            Self::Rest => "rest",
            Self::Tail => "tail",
        }
    }
}

/// The parts that were cut.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Cuts(u16);

impl Cuts {
    fn add(&mut self, cut: Cut) {
        self.0 |= 1 << cut as u16;
    }

    pub(crate) fn has(self, cut: Cut) -> bool {
        self.0 >> cut as u16 & 1 == 1
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = Cut> {
        Cut::ALL.into_iter().filter(move |cut| self.has(*cut))
    }
}

impl fmt::Display for Cuts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, cut) in self.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            write!(f, "{comma}{}", cut.as_str())?;
        }
        Ok(())
    }
}

/// Appends the shrunk form of a line that is longer than `limit` bytes (`limit` is raised to [`MIN_LIMIT`]). Returns
/// `None` and appends nothing if the line fits.
///
/// `line` is the event after all other changes, `original` the event as it stands in the file. The annotation gives
/// the length and the digest of `original`.
pub(crate) fn shrink(
    line: &[u8],
    original: &[u8],
    limit: usize,
    key: &Key,
    out: &mut Vec<u8>,
) -> Option<Shrunk> {
    let limit = limit.max(MIN_LIMIT);
    if line.len() <= limit {
        return None;
    }
    let note = Note { bytes: original.len(), digest: key.hash(original) };
    let begin = out.len();
    let cuts = match form(line) {
        (Form::Json, fields) => json(line, &fields, limit, &note, out),
        (Form::Legacy, _) => text::legacy(line, limit, &note, out),
        (Form::Unreadable, _) => text::unreadable(line, limit, &note, out),
    };
    Some(Shrunk { cuts, length: out.len() - begin })
}

/// The format of the line after all changes, and the places of its fields in it.
fn form(line: &[u8]) -> (Form, Fields) {
    let mut found = None;
    pieces(line, true, |piece| {
        let whole = piece.at.range() == (0..line.len());
        found = whole.then_some((piece.form, piece.fields));
    });
    found.unwrap_or((Form::Unreadable, Fields::default()))
}

fn json(line: &[u8], fields: &Fields, limit: usize, note: &Note, out: &mut Vec<u8>) -> Cuts {
    let begin = out.len();
    let mut cuts = Cuts::default();
    let mut step = ShrinkStep::new(line, fields);
    for cut in Cut::ALL {
        if !step.take(cut) {
            continue;
        }
        cuts.add(cut);
        out.truncate(begin);
        step.edits.apply(line, out);
        if note.insert(cuts, begin, limit, out) {
            return cuts;
        }
    }
    let mut cap = limit / 4;
    loop {
        let mut cuts = cuts;
        out.truncate(begin);
        extract::extract(line, cap, &mut cuts, out);
        // The smallest extract fits every allowed limit.
        if note.insert(cuts, begin, limit, out) || cap <= extract::SMALLEST {
            return cuts;
        }
        cap = (cap / 2).max(extract::SMALLEST);
    }
}

/// The facts in the annotation of a shrunk event, besides the parts that were cut.
struct Note {
    bytes: usize,
    digest: Fingerprint,
}

impl Note {
    fn value(&self, cuts: Cuts) -> String {
        format!("cut={cuts} bytes={} hmac-sha256={}", self.bytes, self.digest)
    }

    /// Inserts the annotation into the event at `out[begin..]` if the event then fits the limit; returns whether it
    /// did.
    fn insert(&self, cuts: Cuts, begin: usize, limit: usize, out: &mut Vec<u8>) -> bool {
        let member = format!(r#""{NOTE}":"{}""#, self.value(cuts));
        let (at, text) = steps::place_of_annotation(&out[begin..], &member);
        let fits = out.len() - begin + text.len() <= limit;
        if fits {
            out.splice(begin + at..begin + at, text.into_bytes());
        }
        fits
    }
}
