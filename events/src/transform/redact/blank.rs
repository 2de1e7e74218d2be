//! Writes the edits that redact (mask or hash) what the walk found.
//!
//! If a member is redacted because of the text around it, the edit covers its key too. That outer edit replaces the
//! edits already made inside it, because [`Edits::apply`] ignores inner edits.

use std::borrow::Cow;
use std::ops::Range;

use super::Redaction;
use super::context::Context;
use super::flags::Flags;
use super::hits::Reach;
use super::member::name;
use super::text::{Secrets, secrets, secrets_at};
use super::token::{Mode, is_token};
use super::walk::{NESTED, Walk, quoted};
use super::written;
use crate::json::{self, blank, escape_like_server, string_end};
use crate::transform::edit::Edits;

/// The result for a text that may be JSON.
pub(super) enum Inner {
    Same,
    Changed(Vec<u8>),
    Unreadable,
    /// It has hits, and too many of them, or too many levels of JSON in strings.
    TooDeep,
}

impl Walk<'_> {
    /// Redacts one value, including its quotes or brackets. `data` says that it is base64.
    pub(super) fn blank(&mut self, at: Range<usize>, data: bool) {
        if let Some(with) = token(self.redaction, &self.line[at.clone()], data) {
            self.edits.replace(at, with.as_bytes());
        }
    }

    /// Redacts a member whose end is not yet known; returns its end.
    pub(super) fn blank_member(&mut self, key: usize, at: usize, data: bool) -> Option<usize> {
        let end = self.over(at)?;
        if let Some(with) = token(self.redaction, &self.line[at..end], data) {
            let mut out = Vec::new();
            self.write_key(key, at, &mut out)?;
            out.extend_from_slice(with.as_bytes());
            self.edits.replace(key..end, &out);
        }
        Some(end)
    }

    /// Appends a key, from its quote up to its value, with secrets in the key replaced.
    fn write_key(&self, key: usize, at: usize, out: &mut Vec<u8>) -> Option<()> {
        if !self.any_hit(&(key..at)) {
            out.extend_from_slice(&self.line[key..at]);
            return Some(());
        }
        let close = string_end(self.line, key + 1)?;
        let inside = key + 1..close;
        match self.renamed(inside.clone(), &name(&self.line[inside])) {
            Some(name) => {
                out.push(b'"');
                out.extend_from_slice(&name);
                out.extend_from_slice(&self.line[close..at]);
            }
            None => out.extend_from_slice(&self.line[key..at]),
        }
        Some(())
    }

    /// Redacts all values below a key and keeps their keys; returns where the value ends.
    pub(super) fn blank_tree(&mut self, key: usize, at: usize) -> Option<usize> {
        let data = name(self.line.get(key + 1..string_end(self.line, key + 1)?)?);
        let data = !data.eq_ignore_ascii_case("stringData");
        if self.line.get(at) != Some(&b'{') {
            return self.blank_member(key, at, data);
        }
        let mut out = Vec::new();
        self.write_key(key, at, &mut out)?;
        let Some(end) = self.values(at, data, &mut out) else {
            return self.blank_member(key, at, data);
        };
        if out != self.line[key..end] {
            self.edits.replace(key..end, &out);
        }
        Some(end)
    }

    /// Appends the object that begins at `from` with its values redacted, and returns its end; `None` if it cannot be
    /// parsed.
    fn values(&self, from: usize, data: bool, out: &mut Vec<u8>) -> Option<usize> {
        let line = self.line;
        out.push(b'{');
        let mut at = blank(line, from + 1);
        let mut begun = false;
        while *line.get(at)? != b'}' {
            if std::mem::replace(&mut begun, true) {
                line.get(at).filter(|byte| **byte == b',')?;
                out.push(b',');
                at = blank(line, at + 1);
            }
            line.get(at).filter(|byte| **byte == b'"')?;
            let colon = blank(line, string_end(line, at + 1)? + 1);
            line.get(colon).filter(|byte| **byte == b':')?;
            let value = blank(line, colon + 1);
            let end = self.over(value)?;
            self.write_key(at, value, out)?;
            match token(self.redaction, &line[value..end], data) {
                Some(with) => out.extend_from_slice(with.as_bytes()),
                None => out.extend_from_slice(&line[value..end]),
            }
            at = blank(line, end);
        }
        out.push(b'}');
        Some(at + 1)
    }

    /// Redacts the secrets in the text of a string, given without its quotes. `json` says that it must be JSON.
    pub(super) fn text(&mut self, at: Range<usize>, flags: Flags, json: bool) {
        let inside = flags.has(Flags::SECRET) && self.line[at.clone()].starts_with(b"{");
        let look = json || inside || flags.has(Flags::EVERY);
        if !look && !self.any_hit(&at) {
            return;
        }
        let text = json::unescape(&self.line[at.clone()]);
        if json || text.trim_ascii_start().starts_with(['{', '[', '"']) {
            match self.inner(&text, flags, json) {
                Inner::Same => return,
                Inner::Changed(inner) => {
                    let mut out = Vec::new();
                    escape_like_server(&String::from_utf8_lossy(&inner), &mut out);
                    return self.edits.replace(at, &out);
                }
                Inner::TooDeep => return self.blank(quoted(&at), false),
                Inner::Unreadable if json => return self.blank(quoted(&at), false),
                Inner::Unreadable => {}
            }
        }
        let written = &self.line[at.clone()];
        let hits = self.hits.all.read(written, at.clone(), text.as_bytes());
        let found = match hits {
            Some(hits) if !flags.has(Flags::EVERY) => {
                secrets_at(&self.redaction.screen, &text, &hits)
            }
            _ => self.redaction.found(&text, self.context),
        };
        match found {
            Secrets::All => self.blank(quoted(&at), false),
            Secrets::Parts(parts) => self.blank_parts(at, &text, &parts),
            Secrets::None => {}
        }
    }

    /// Redacts parts of a string's text. The text around them is kept as it was written.
    pub(super) fn blank_parts(&mut self, at: Range<usize>, text: &str, parts: &[Range<usize>]) {
        let Some(written) = written::places(&self.line[at.clone()], parts) else {
            // The text has invalid characters, so the written places of the parts are unknown. The whole text is
            // written anew.
            let mut out = Vec::new();
            escape_like_server(&self.redaction.replaced(text, parts), &mut out);
            return self.edits.replace(at, &out);
        };
        for (part, place) in parts.iter().zip(written) {
            let token = self.redaction.mode.token(&text.as_bytes()[part.clone()]);
            // No token has a character that JSON escapes.
            self.edits.replace(at.start + place.start..at.start + place.end, token.as_bytes());
        }
    }

    /// Redacts JSON inside a string.
    fn inner(&self, text: &str, flags: Flags, json: bool) -> Inner {
        let mut hits = self.redaction.screen.hits(text.as_bytes());
        if hits.overflow {
            return Inner::TooDeep;
        }
        // Only reading all of it shows whether it is JSON.
        if json {
            hits.reach = Reach::Everywhere;
        }
        if hits.is_empty() && !json && !flags.everything() {
            return Inner::Same;
        }
        if self.nested >= NESTED {
            return Inner::TooDeep;
        }
        let line = text.as_bytes();
        let mut edits = Edits::default();
        let mut walk =
            Walk::new(self.redaction, self.context, (line, &hits), &mut edits, self.nested + 1);
        let end = walk.root(blank(line, 0), flags.without(Flags::AUDIT));
        match end {
            Some(end) if blank(line, end) == line.len() => {}
            _ => return Inner::Unreadable,
        }
        if edits.is_empty() {
            return Inner::Same;
        }
        let mut out = Vec::with_capacity(line.len());
        edits.apply(line, &mut out);
        Inner::Changed(out)
    }
}

/// The replacement for a value as it is written; `None` if the value is empty or already redacted.
fn token(redaction: &Redaction, written: &[u8], data: bool) -> Option<Cow<'static, str>> {
    if matches!(written, b"null" | b"{}" | b"[]" | b"\"\"") {
        return None;
    }
    if let Mode::Mask = redaction.mode {
        let inside = written.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\""));
        return (!inside.is_some_and(is_token)).then_some(Cow::Borrowed("\"***\""));
    }
    let text = match written {
        [b'"', inside @ .., b'"'] => json::unescape(inside),
        _ => String::from_utf8_lossy(written),
    };
    if is_token(text.as_bytes()) {
        return None;
    }
    let token = if data {
        redaction.mode.token_of_data(text.as_bytes())
    } else {
        redaction.mode.token(text.as_bytes())
    };
    Some(format!("\"{token}\"").into())
}

impl Redaction {
    /// A text with its secrets replaced; `None` if it has none.
    pub(super) fn masked(&self, text: &str, context: &Context<'_>) -> Option<String> {
        match self.found(text, context) {
            Secrets::All => Some(self.mode.token(text.as_bytes()).into_owned()),
            Secrets::Parts(parts) => Some(self.replaced(text, &parts)),
            Secrets::None => None,
        }
    }

    /// The secrets in a text, found by their shape or by the operator's rules.
    pub(super) fn found(&self, text: &str, context: &Context<'_>) -> Secrets {
        if context.keeps(text) {
            return Secrets::None;
        }
        let mut parts = match secrets(&self.screen, text) {
            Secrets::All => return Secrets::All,
            Secrets::Parts(parts) => parts,
            Secrets::None => Vec::new(),
        };
        context.patterns(text, &mut parts);
        if parts.is_empty() { Secrets::None } else { Secrets::Parts(parts) }
    }

    /// Whether a text contains a secret, without regard to the operator's rules.
    pub(super) fn finds(&self, text: &str) -> bool {
        secrets(&self.screen, text) != Secrets::None
    }

    /// A text with these ranges replaced by tokens.
    pub(super) fn replaced(&self, text: &str, parts: &[Range<usize>]) -> String {
        let mut out = String::with_capacity(text.len());
        let mut done = 0;
        for part in parts {
            out.push_str(&text[done..part.start]);
            out.push_str(&self.mode.token(&text.as_bytes()[part.clone()]));
            done = part.end;
        }
        out.push_str(&text[done..]);
        out
    }
}
