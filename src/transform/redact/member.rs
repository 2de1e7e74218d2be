//! What a key says of its value.

use std::borrow::Cow;
use std::ops::Range;

use super::context::join;
use super::custom::Ruling;
use super::frame::{Flags, Frame};
use super::name_words::mentions;
use super::patterns::What;
use super::secret_names::{Name, beside, harmless_end, judge, prose};
use super::text::{Secrets, secrets};
use super::token::escape_json;
use super::walk::{Member, Walk, scalar_end};
use crate::event::text;
use crate::event::walk::string_end;

/// The annotation that holds an object's whole manifest as a string.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Annotations of an event by which mutating webhooks tell their JSON Patch.
const WEBHOOK_PATCH: &str = "patch.webhook.admission.k8s.io/";
/// Annotations of an event whose names sound like secrets and whose values are names.
const AUDIT_KEPT: &[&str] =
    &["authentication.k8s.io/", "authentication.kubernetes.io/", "authorization.k8s.io/"];
/// What the server and its clients write into a Secret, a list or table of them, a patch, or an answer about them.
const OF_SECRETS: &[&str] = &[
    "kind",
    "apiVersion",
    "metadata",
    "type",
    "immutable",
    "items",
    "rows",
    "columnDefinitions",
    "cells",
    "conditions",
    "object",
    "status",
    "message",
    "reason",
    "details",
    "code",
    "op",
    "path",
    "from",
    "value",
    "propagationPolicy",
    "gracePeriodSeconds",
    "preconditions",
    "orphanDependents",
    "dryRun",
];
/// Where a schema has values.
const OF_SCHEMAS: &[&str] = &["default", "example", "examples", "enum", "const"];

impl Walk<'_> {
    /// Deals with a member; answers where its value ends, or where to go on inside of it.
    pub(super) fn member(&mut self, key: Range<usize>, at: usize) -> Option<usize> {
        let raw = &self.line[key.clone()];
        let flags = self.flags();
        let hit = self.any_hit(&key);
        if !hit && !flags.each_key() && plain(raw) {
            // Nearly all there are.
            return self.any(at, flags.without(Flags::ROOT));
        }
        let name = name(raw);
        let start = key.start - 1;
        self.seen = hit;
        if hit && let Some(masked) = self.renamed(key.clone(), &name) {
            self.edits.replace(key, &masked);
        }
        let ruling = self.steps.step(self.context, flags.has(Flags::EVERY).then_some(&*name));
        if let Some(end) = self.of_secrets(&name, start, at, flags) {
            return end;
        }
        match self.ruled(ruling, &name) {
            Ruling::Keep => return self.over(at),
            Ruling::Blank => return self.blank_member(start, at, false),
            Ruling::Pattern(rule) => self.pattern(rule, &name, start, at),
            Ruling::None => {}
        }
        self.known(&name, start, at, flags)
    }

    /// Data that is blanked for where it stands. The outer `None` says that this is none.
    #[expect(clippy::option_option, reason = "the inner one is an end that was not found")]
    fn of_secrets(
        &mut self,
        name: &str,
        start: usize,
        at: usize,
        flags: Flags,
    ) -> Option<Option<usize>> {
        let is = |names: &[&str]| names.iter().any(|other| name.eq_ignore_ascii_case(other));
        let blank = if is(&["data", "stringData"]) {
            if !flags.has(Flags::SECRET.with(Flags::DATA)) {
                // It is one if the object turns out to be a Secret.
                self.data.push(Member { key: start, value: at });
                return flags.has(Flags::OPEN).then(|| self.over(at));
            }
            true
        } else if is(&["binaryData"]) {
            !flags.has(Flags::OPEN)
        } else {
            flags.has(Flags::SECRET) && flags.has(Flags::ROOT) && !OF_SECRETS.contains(&name)
                // Managed fields hold names only; `member` looks at them.
                || flags.has(Flags::SECRET) && name == LAST_APPLIED
        };
        blank.then(|| self.blank_tree(start, at))
    }

    /// What the rules that know keys only say, where those that know paths say nothing.
    fn ruled(&self, ruling: Ruling, name: &str) -> Ruling {
        match ruling {
            Ruling::None if self.context.keeps_key(name) => Ruling::Keep,
            Ruling::None if self.context.blanks_key(name) => Ruling::Blank,
            other => other,
        }
    }

    /// A pattern that looks at this member only. Where all of it goes anyway there is nothing to look for.
    fn pattern(&mut self, rule: usize, name: &str, start: usize, at: usize) {
        let whole = self.flags().has(Flags::HOT) || judge(name).is_any();
        let Some(end) = self.over(at).filter(|_| self.line[at] == b'"' && !whole) else { return };
        let text = text::json(&self.line[at + 1..end - 1]);
        let mut parts = match secrets(&self.redaction.screen, &text) {
            Secrets::All => return,
            Secrets::Parts(parts) => parts,
            Secrets::None => Vec::new(),
        };
        self.context.rules[rule].find(&text, &mut parts);
        if !parts.is_empty() {
            join(&mut parts);
            let mut out = self.line[start..=at].to_vec();
            escape_json(&self.redaction.replaced(&text, &parts), &mut out);
            out.push(b'"');
            self.edits.replace(start..end, &out);
        }
    }

    /// What Kubernetes' own keys mean, and what any other sounds like.
    fn known(&mut self, name: &str, start: usize, at: usize, flags: Flags) -> Option<usize> {
        let below = flags.without(Flags::ROOT.with(Flags::NAME));
        let string = self.line.get(at) == Some(&b'"');
        match name {
            "managedFields" => return self.managed_fields(start, at),
            LAST_APPLIED if string => {
                self.data.push(Member { key: start, value: at });
                return self.string(at, flags, true);
            }
            "columnDefinitions" if flags.has(Flags::ROOT) => return self.columns(at),
            "cells" if flags.has(Flags::CELLS) && self.line.get(at) == Some(&b'[') => {
                return self.cells(at);
            }
            "rows" if flags.has(Flags::ROOT) && !self.columns.is_empty() => {
                return self.any(at, flags.with(Flags::CELLS));
            }
            "items" | "rows" | "object" if flags.has(Flags::ROOT) => return self.any(at, flags),
            "extra" if flags.has(Flags::USER) => return self.extra(at),
            "metadata" | "details" if flags.has(Flags::NAMED) => {
                return self.any(at, below.with(Flags::NAME));
            }
            "name" | "selfLink" | "continue" if flags.has(Flags::NAME) => {
                return self.blank_member(start, at, false);
            }
            "openAPIV3Schema" => return self.any(at, below.with(Flags::SCHEMA)),
            "message" if string && flags.has(Flags::MESSAGE) => return self.message(at),
            _ => {}
        }
        if string {
            let end = string_end(self.line, at + 1)?;
            match name {
                "kind" => self.kind(at + 1..end),
                "name" | "key" | "setting" | "headerName" | "envName" | "variable"
                | "parameter" | "property" | "option" => self.naming(at + 1..end),
                "op" => self.top(|frame| frame.op = true),
                "path" => self.target(at + 1..end, flags),
                _ => {}
            }
        }
        if name == "value" && !flags.has(Flags::HOT) {
            return self.value(start, at, below);
        }
        if flags.has(Flags::AUDIT) {
            if AUDIT_KEPT.iter().any(|kept| name.starts_with(kept)) {
                return self.string(at, below, false);
            }
            if string && name.starts_with(WEBHOOK_PATCH) {
                return self.string(at, below, true);
            }
        }
        self.judged(name, at, below)
    }

    /// What a key that nobody knows sounds like.
    pub(super) fn judged(&mut self, name: &str, at: usize, flags: Flags) -> Option<usize> {
        let array = self.line.get(at) == Some(&b'[');
        // Of a name that is anything else than plain the screen sees a part.
        let judged = match if self.seen { judge(name) } else { Name::Plain } {
            Name::Header | Name::Password if array => Name::Suspicious,
            judged => judged,
        };
        if flags.has(Flags::SCHEMA) {
            let value = flags.has(Flags::HOT) && OF_SCHEMAS.contains(&name);
            let hot = Flags::HOT.when(judged.is_hot());
            return if value {
                self.named(at, Name::Suspicious, flags.without(Flags::SCHEMA))
            } else {
                self.any(at, flags.with(hot))
            };
        }
        match judged {
            _ if array && harmless_end(name) => self.any(at, flags.without(Flags::HOT)),
            Name::Plain if !flags.has(Flags::HOT) => self.any(at, flags),
            Name::Plain if prose(name) => self.any(at, flags),
            Name::Random if flags.has(Flags::HOT) && beside(name) => {
                self.named(at, Name::Part, flags)
            }
            Name::Plain if beside(name) => self.named(at, Name::Beside, flags),
            Name::Plain | Name::Weak | Name::Random if flags.has(Flags::HOT) => {
                self.named(at, Name::Header, flags)
            }
            judged => {
                let hot = Flags::HOT.when(judged.is_hot());
                let numbers = Flags::NUMBERS.when(array && judged != Name::Mention);
                self.named(at, judged, flags.with(hot).with(numbers))
            }
        }
    }

    /// A value that its name may make a secret.
    pub(super) fn named(&mut self, at: usize, name: Name, flags: Flags) -> Option<usize> {
        match self.line.get(at)? {
            b'"' => {}
            b'{' | b'[' => return self.any(at, flags),
            _ => {
                let end = scalar_end(self.line, at)?;
                if name.hides_scalar(&self.line[at..end]) {
                    self.blank(at..end, false);
                }
                return Some(end);
            }
        }
        let end = string_end(self.line, at + 1)?;
        let inside = at + 1..end;
        let text = text::json(&self.line[inside.clone()]);
        match name.secret_in(&text) {
            // What is secret in such a value shows by itself as a rule.
            Some(_) if name == Name::Connection && self.redaction.finds(&text) => {
                self.text(inside, flags, false);
            }
            Some(part) if part.len() < text.len() => {
                self.blank_parts(inside, &text, std::slice::from_ref(&part));
            }
            Some(_) => self.blank(at..end + 1, false),
            None => self.text(inside, flags, false),
        }
        Some(end + 1)
    }

    fn string(&mut self, at: usize, flags: Flags, json: bool) -> Option<usize> {
        if self.line.get(at) != Some(&b'"') {
            return self.any(at, flags);
        }
        let end = string_end(self.line, at + 1)?;
        self.text(at + 1..end, flags, json);
        Some(end + 1)
    }

    pub(super) fn top(&mut self, change: impl FnOnce(&mut Frame)) {
        if let Some(frame) = self.frames.last_mut() {
            change(frame);
        }
    }

    fn kind(&mut self, at: Range<usize>) {
        let kind = text::json(&self.line[at]);
        let secret = matches!(kind.as_ref(), "Secret" | "SecretList");
        self.top(|frame| frame.secret |= secret);
    }

    fn naming(&mut self, at: Range<usize>) {
        if self.hits.structural || self.any_hit(&at) {
            let text = text::json(&self.line[at]);
            // JSON is no name, and what stands last in it may be blanked: its words count wherever they stand.
            let judged =
                if text.contains('"') && mentions(&text) { Name::Suspicious } else { judge(&text) };
            self.top(|frame| frame.named = frame.named.max(judged));
        }
    }

    /// A key that is a secret by its looks, as it is to be written.
    pub(super) fn renamed(&self, at: Range<usize>, name: &str) -> Option<Vec<u8>> {
        let shape =
            |what: What| !matches!(what, What::Word | What::Key | What::Program | What::Quoted);
        if !self.any_hit(&at) || !self.hits.within(at).iter().any(|hit| shape(hit.what)) {
            return None;
        }
        let masked = self.redaction.masked(name, self.context)?;
        let mut out = Vec::new();
        escape_json(&masked, &mut out);
        Some(out)
    }
}

/// A key with its escapes undone; nearly none has any.
pub(super) fn name(raw: &[u8]) -> Cow<'_, str> {
    match str::from_utf8(raw) {
        Ok(name) if !escaped(raw) => Cow::Borrowed(name),
        _ => text::json(raw),
    }
}

/// Whether a key has escapes. Keys are short: all of one is looked at at once.
pub(super) fn escaped(key: &[u8]) -> bool {
    key.iter().fold(0, |any, byte| any | u8::from(*byte == b'\\')) > 0
}

/// Whether a key is none that means something to a body in which nothing else does.
fn plain(key: &[u8]) -> bool {
    !matches!(
        key,
        b"data"
            | b"stringData"
            | b"binaryData"
            | b"managedFields"
            | b"items"
            | b"rows"
            | b"object"
            | b"columnDefinitions"
            | b"cells"
            | b"extra"
            | b"openAPIV3Schema"
            | b"message"
            | b"kind"
            | b"name"
            | b"key"
            | b"op"
            | b"path"
            | b"value"
            | b"setting"
            | b"headerName"
            | b"envName"
            | b"variable"
            | b"parameter"
            | b"property"
            | b"option"
    )
}
