//! Redacts members named `value`, for instance a secret that a JSON Patch sets. Whether such a value is blanked
//! depends on the `name` or the `path` in the same object, which may follow later.

use std::borrow::Cow;
use std::ops::Range;

use super::flags::Flags;
use super::frame::{Frame, PatchTarget};
use super::secret_names::{beside, judge};
use super::waiting::Member;
use super::walk::Walk;
use crate::json;

impl Walk<'_> {
    /// Reads the `path` of a JSON Patch operation.
    pub(super) fn target(&mut self, at: Range<usize>, flags: Flags) {
        let path = json::unescape(&self.line[at]);
        let target = target(&path, flags);
        // If an object has two paths, the more secret one counts.
        self.top(|frame| match frame.operation.target {
            Some(PatchTarget::Secret { .. }) => {}
            Some(PatchTarget::Suspicious(_)) if target == PatchTarget::Plain => {}
            _ => frame.operation.target = Some(target),
        });
    }

    /// Handles a `value`; the `name` or `path` that it belongs to may not have been read yet.
    pub(super) fn value(&mut self, start: usize, at: usize, flags: Flags) -> Option<usize> {
        self.waiting.values.push(Member { key: start, value: at });
        let verdict = self.frames.last().map_or(PatchTarget::Plain, Frame::verdict);
        let container = matches!(self.line.get(at)?, b'{' | b'[');
        if !container || matches!(verdict, PatchTarget::Secret { .. }) {
            return self.over(at);
        }
        if let PatchTarget::Suspicious(name) = verdict
            && name.is_hot()
        {
            self.waiting.values.pop();
            return self.any(at, flags.with(Flags::HOT));
        }
        // A patch may set a whole object, which may be a Secret.
        self.any(at, flags)
    }

    /// Decides on a `value` once its whole object has been read.
    pub(super) fn decide(&mut self, member: Member, frame: &Frame) {
        let Member { key, value: at } = member;
        let string = self.line.get(at) == Some(&b'"');
        let flags = frame.flags.without(Flags::ROOT);
        match frame.verdict() {
            PatchTarget::Secret { data } => {
                self.blank_member(key, at, data);
            }
            PatchTarget::Suspicious(name)
                if matches!(self.line.get(at), Some(b'{' | b'[')) && name.is_hot() =>
            {
                self.blank_member(key, at, false);
            }
            PatchTarget::Suspicious(_) if matches!(self.line.get(at), Some(b'{' | b'[')) => {}
            PatchTarget::Suspicious(name) => {
                self.named(at, name, flags);
            }
            PatchTarget::Plain if string => {
                self.seen = false;
                self.judged("value", at, flags);
            }
            PatchTarget::Plain => {}
        }
    }
}

/// The meaning of a JSON Patch path for the value.
fn target(path: &str, flags: Flags) -> PatchTarget {
    let segments: Vec<_> = path.split('/').skip(1).map(unescaped).collect();
    let first = segments.first().map_or("", AsRef::as_ref);
    if flags.has(Flags::SECRET) {
        let harmless = matches!(first, "metadata" | "type" | "immutable");
        let plain = harmless && !path.contains("last-applied");
        let data = first != "stringData";
        return if plain { PatchTarget::Plain } else { PatchTarget::Secret { data } };
    }
    if flags.has(Flags::DATA) && !matches!(first, "metadata" | "immutable") || first == "binaryData"
    {
        return PatchTarget::Secret { data: first == "binaryData" };
    }
    let last = segments.last().map_or("", AsRef::as_ref);
    let mut named = segments.iter().rev().map(|segment| judge(segment)).enumerate();
    match named.find(|(_, name)| name.is_any()) {
        Some((above, name)) if above == 0 || name.is_hot() && !beside(last) => {
            PatchTarget::Suspicious(name)
        }
        _ => PatchTarget::Plain,
    }
}

fn unescaped(segment: &str) -> Cow<'_, str> {
    if segment.contains('~') {
        segment.replace("~1", "/").replace("~0", "~").into()
    } else {
        segment.into()
    }
}
