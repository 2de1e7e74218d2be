//! Handles one member of a JSON object by its key: keys of Kubernetes with a known meaning, and keys that sound like
//! secrets.

use std::borrow::Cow;
use std::ops::{ControlFlow, Range};

use super::context::join;
use super::custom::Ruling;
use super::flags::Flags;
use super::frame::Frame;
use super::hits::Reach;
use super::name_words::mentions;
use super::patterns::What;
use super::secret_names::{Name, beside, harmless_end, judge, prose};
use super::text::{Secrets, secrets};
use super::waiting::Member;
use super::walk::{Walk, scalar_end};
use crate::json::{self, escape_like_server, string_end};

/// The annotation that holds an object's whole manifest as a string.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Prefix of the annotations of an event in which mutating webhooks record their JSON Patch.
const WEBHOOK_PATCH: &str = "patch.webhook.admission.k8s.io/";
/// Prefixes of annotations of an event whose names sound like secrets but whose values are not secret.
const AUDIT_KEPT: &[&str] =
    &["authentication.k8s.io/", "authentication.kubernetes.io/", "authorization.k8s.io/"];
/// Keys that the API server and its clients write into a Secret, a list or table of Secrets, a patch, or an answer
/// about them.
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
/// Keys of a schema that hold values.
const OF_SCHEMAS: &[&str] = &["default", "example", "examples", "enum", "const"];

impl Walk<'_> {
    /// Handles one member. Returns the end of its value, or the place inside it where the walk goes on.
    pub(super) fn member(&mut self, key: Range<usize>, at: usize) -> Option<usize> {
        let raw = &self.line[key.clone()];
        let flags = self.flags();
        let hit = self.any_hit(&key);
        if !hit && !flags.each_key() && plain(raw) {
            // The common case: nearly all members end here.
            return self.any(at, flags.without(Flags::ROOT));
        }
        let name = name(raw);
        let start = key.start - 1;
        self.seen = hit;
        if hit && let Some(masked) = self.renamed(key.clone(), &name) {
            self.edits.replace(key, &masked);
        }
        let ruling = self.steps.step(self.context, flags.has(Flags::EVERY).then_some(&*name));
        if let ControlFlow::Break(end) = self.of_secrets(&name, start, at, flags) {
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

    /// Redacts data because of where it stands (in a Secret); breaks with its end. Continues if this member is not such
    /// data.
    fn of_secrets(
        &mut self,
        name: &str,
        start: usize,
        at: usize,
        flags: Flags,
    ) -> ControlFlow<Option<usize>> {
        let is = |names: &[&str]| names.iter().any(|other| name.eq_ignore_ascii_case(other));
        let blank = if is(&["data", "stringData"]) {
            if !flags.has(Flags::SECRET.with(Flags::DATA)) {
                // Redacted later if the object turns out to be a Secret.
                self.waiting.data.push(Member { key: start, value: at });
                return if flags.has(Flags::OPEN) {
                    ControlFlow::Break(self.over(at))
                } else {
                    ControlFlow::Continue(())
                };
            }
            true
        } else if is(&["binaryData"]) {
            !flags.has(Flags::OPEN)
        } else {
            flags.has(Flags::SECRET) && flags.has(Flags::ROOT) && !OF_SECRETS.contains(&name)
                // Managed fields hold names only; `member` handles them.
                || flags.has(Flags::SECRET) && name == LAST_APPLIED
        };
        if blank {
            ControlFlow::Break(self.blank_tree(start, at))
        } else {
            ControlFlow::Continue(())
        }
    }

    /// Applies the operator's rules by key, if no rule by path applies.
    fn ruled(&self, ruling: Ruling, name: &str) -> Ruling {
        match ruling {
            Ruling::None if self.context.keeps_key(name) => Ruling::Keep,
            Ruling::None if self.context.blanks_key(name) => Ruling::Blank,
            other => other,
        }
    }

    /// Applies the pattern of a rule to this member only. If the whole value is redacted anyway, the pattern is not
    /// needed.
    fn pattern(&mut self, rule: usize, name: &str, start: usize, at: usize) {
        let whole = self.flags().has(Flags::HOT) || judge(name).is_any();
        let Some(end) = self.over(at).filter(|_| self.line[at] == b'"' && !whole) else { return };
        let text = json::unescape(&self.line[at + 1..end - 1]);
        let mut parts = match secrets(&self.redaction.screen, &text) {
            Secrets::All => return,
            Secrets::Parts(parts) => parts,
            Secrets::None => Vec::new(),
        };
        self.context.rules[rule].find(&text, &mut parts);
        if !parts.is_empty() {
            join(&mut parts);
            let mut out = self.line[start..=at].to_vec();
            escape_like_server(&self.redaction.replaced(&text, &parts), &mut out);
            out.push(b'"');
            self.edits.replace(start..end, &out);
        }
    }

    /// Handles keys that Kubernetes defines; any other key is judged by its name.
    fn known(&mut self, name: &str, start: usize, at: usize, flags: Flags) -> Option<usize> {
        let below = flags.without(Flags::ROOT.with(Flags::NAME));
        let string = self.line.get(at) == Some(&b'"');
        match name {
            "managedFields" => return self.managed_fields(start, at),
            LAST_APPLIED if string => {
                self.waiting.data.push(Member { key: start, value: at });
                return self.string(at, flags, true);
            }
            "columnDefinitions" if flags.has(Flags::ROOT) => return self.columns(at, below),
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
                "kind" => {
                    let secret = self.kind(at + 1..end);
                    if secret && !flags.has(Flags::EVERY.with(Flags::HOT)) {
                        // The word `Secret` is a hit, and says no more than the kind.
                        return Some(end + 1);
                    }
                }
                "name" | "key" | "setting" | "headerName" | "envName" | "variable"
                | "parameter" | "property" | "option" => self.naming(at + 1..end),
                "op" => self.top(|frame| frame.operation.op = true),
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

    /// Handles a key without a defined meaning, by what its name sounds like.
    pub(super) fn judged(&mut self, name: &str, at: usize, flags: Flags) -> Option<usize> {
        let array = self.line.get(at) == Some(&b'[');
        // The prefilter has a hit in every name that is not plain.
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

    /// Handles a value that may be secret because of its name.
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
        let text = json::unescape(&self.line[inside.clone()]);
        match name.secret_in(&text) {
            // The secret part of a connection string usually shows by its own shape.
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

    /// Notes whether a kind says that the object is a Secret or a list of them, and returns it.
    fn kind(&mut self, at: Range<usize>) -> bool {
        let kind = json::unescape(&self.line[at]);
        let secret = matches!(kind.as_ref(), "Secret" | "SecretList");
        self.top(|frame| frame.secret |= secret);
        secret
    }

    fn naming(&mut self, at: Range<usize>) {
        if self.reach == Reach::Everywhere || self.any_hit(&at) {
            let text = json::unescape(&self.line[at]);
            // JSON is not a name, and its end may be redacted, so all words in it count.
            let judged =
                if text.contains('"') && mentions(&text) { Name::Suspicious } else { judge(&text) };
            self.top(|frame| frame.named = frame.named.max(judged));
        }
    }

    /// The key as it has to be written if the key itself has the shape of a secret; `None` if it has not.
    pub(super) fn renamed(&self, at: Range<usize>, name: &str) -> Option<Vec<u8>> {
        let shape =
            |what: What| !matches!(what, What::Word | What::Key | What::Program | What::Quoted);
        if !self.hits.within(&at).iter().any(|hit| shape(hit.what)) {
            return None;
        }
        let masked = self.redaction.masked(name, self.context)?;
        let mut out = Vec::new();
        escape_like_server(&masked, &mut out);
        Some(out)
    }
}

/// A key with its escapes decoded; hardly any key has escapes.
pub(super) fn name(raw: &[u8]) -> Cow<'_, str> {
    match str::from_utf8(raw) {
        Ok(name) if !escaped(raw) => Cow::Borrowed(name),
        _ => json::unescape(raw),
    }
}

/// Whether a key has escapes. Keys are short, so the loop looks at all bytes without branching.
pub(super) fn escaped(key: &[u8]) -> bool {
    key.iter().fold(0, |any, byte| any | u8::from(*byte == b'\\')) > 0
}

/// Whether a key has no special meaning in a body without other marks.
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
