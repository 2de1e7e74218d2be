//! Redacts the event's own members. It keeps who did what to which object, and searches the parts that a client wrote
//! for secrets.
//!
//! All members are walked, duplicate keys too: the recorded fields of an event hold only the first of each.

use std::borrow::Cow;
use std::ops::Range;

use super::Redaction;
use super::context::Context;
use super::flags::Flags;
use super::member::{escaped, name};
use super::prefilter_cache::Scratch;
use super::uri::plain_uri;
use super::walk::{Walk, scalar_end};
use crate::event::Record;
use crate::json::{self, blank, escape_like_server, string_end, value};
use crate::transform::edit::Edits;

/// Longest `userAgent` and `auditID`, in bytes, that are kept uncut.
pub(super) const USER_AGENT: usize = 256;
pub(super) const AUDIT_ID: usize = 128;

/// The place of a member of the event.
struct Member {
    /// Without the quotes.
    key: Range<usize>,
    /// With quotes or brackets.
    value: Range<usize>,
}

impl Redaction {
    /// Collects the edits of one event; `None` if it cannot be parsed.
    pub(super) fn envelope(
        &self,
        record: &Record<'_>,
        edits: &mut Edits,
        scratch: &mut Scratch,
    ) -> Option<()> {
        let line = record.line;
        scratch.screen(&self.screen, record, edits);
        if scratch.hits.overflow {
            return None;
        }
        if self.quick(record, edits, scratch) {
            return Some(());
        }
        let hits = &scratch.hits;
        let members = members(record)?;
        let context = self.context(record, line, &members);
        let mut walk = Walk::new(self, &context, (line, hits), edits, 0);
        for member in &members {
            let raw = &line[member.key.clone()];
            if !walk.any_hit(&(member.key.start..member.value.end)) && !context.looks(raw) {
                continue;
            }
            let name = name(raw);
            if walk.event_member(&name, member).is_none() {
                // The member cannot be parsed and may hold anything, so all of it is redacted.
                walk = Walk::new(self, &context, (line, hits), walk.edits, 0);
                walk.blank(member.value.clone(), false);
            }
        }
        Some(())
    }

    fn context<'a>(
        &'a self,
        record: &Record<'a>,
        line: &'a [u8],
        members: &[Member],
    ) -> Context<'a> {
        let fields = &record.event.fields;
        let mut resources: Vec<_> = record.text(fields.resource).into_iter().collect();
        let mut group = Cow::Borrowed("");
        for member in members {
            // The API server writes no escapes in its keys, but a key with escapes is checked too.
            let raw = &line[member.key.clone()];
            if raw != b"objectRef" && (!escaped(raw) || json::unescape(raw) != "objectRef") {
                continue;
            }
            crate::json::members(line, member.value.start, |key, value| {
                let known = key == b"resource" || key == b"apiGroup" || key.contains(&b'\\');
                if !known || !value.string {
                    return;
                }
                match json::unescape(key).as_ref() {
                    "resource" => resources.push(json::unescape(&line[value.at.range()])),
                    "apiGroup" => group = json::unescape(&line[value.at.range()]),
                    _ => {}
                }
            });
        }
        if resources.is_empty() {
            // Lines of an old or unusual origin name the object in the URI only.
            let uri = record.text(fields.request_uri).unwrap_or_default();
            resources.extend(uri.split(['/', '?']).map(|part| Cow::Owned(part.to_owned())));
        }
        let code = record.text(fields.code).unwrap_or_default();
        let names = [fields.name, fields.namespace, fields.resource, fields.username];
        let names = names.into_iter().filter_map(|at| record.text(at)).collect();
        Context::new(self, &resources, &group, &code, names)
    }

    /// A text that the client chose, such as `userAgent`, with its secrets replaced and cut to `limit` bytes; `None`
    /// if nothing changes.
    pub(super) fn client_text(
        &self,
        text: &str,
        limit: usize,
        context: &Context<'_>,
    ) -> Option<String> {
        let masked = self.masked(text, context);
        let now = masked.as_deref().unwrap_or(text);
        if now.len() <= limit {
            return masked;
        }
        Some(format!("{}...", &now[..now.floor_char_boundary(limit - 3)]))
    }

    pub(super) fn user_agent(&self, text: &str, context: &Context<'_>) -> Option<String> {
        self.client_text(text, USER_AGENT, context)
    }

    pub(super) fn audit_id(&self, text: &str, context: &Context<'_>) -> Option<String> {
        self.client_text(text, AUDIT_ID, context)
    }

    /// The pseudonym of a user or group, if pseudonymisation is on. Names of the system (`system:`) have none.
    pub(super) fn pseudonym(&self, name: &str) -> Option<Cow<'static, str>> {
        let person = self.pseudonymise_users && !name.is_empty() && !name.starts_with("system:");
        (person && !super::token::is_token(name.as_bytes()))
            .then(|| self.mode.token(name.as_bytes()))
    }
}

impl Walk<'_> {
    /// Handles one member of the event; `None` if it cannot be parsed.
    fn event_member(&mut self, name: &str, member: &Member) -> Option<usize> {
        let Member { key, value } = member;
        let event = self.context.flags;
        let every = Flags::EVERY.when(event.has(Flags::EVERY));
        let inside = value.start + 1..value.end.max(value.start + 2) - 1;
        let string = self.line[value.start] == b'"';
        let seen = self.any_hit(&(key.start..value.end));
        let looked = Flags::EVERY.with(Flags::NAMED);
        let masked = match name {
            "requestURI" if string => {
                let raw = &self.line[inside.clone()];
                if !seen && plain_uri(raw) && !event.has(looked) {
                    return Some(value.end);
                }
                self.redaction.uri(&json::unescape(&self.line[inside.clone()]), seen, self.context)
            }
            "userAgent" | "auditID"
                if string && !seen && !event.has(looked) && inside.len() <= AUDIT_ID =>
            {
                return Some(value.end);
            }
            "userAgent" if string => {
                self.redaction.user_agent(&json::unescape(&self.line[inside.clone()]), self.context)
            }
            "auditID" if string => {
                self.redaction.audit_id(&json::unescape(&self.line[inside.clone()]), self.context)
            }
            "user" | "impersonatedUser" => return self.user(value, every),
            "requestObject" | "responseObject" => {
                return self.whole(value, event.with(Flags::ROOT));
            }
            "annotations" => {
                // The patches of webhooks have the same kind of content as the body.
                return self.whole(value, event.without(Flags::MESSAGE).with(Flags::AUDIT));
            }
            "responseStatus" => {
                let flags = event.without(Flags::SECRET.with(Flags::DATA));
                return self.whole(value, flags);
            }
            "objectRef" => return self.object(value, every),
            _ => {
                if let Some(masked) = self.renamed(key.clone(), name) {
                    self.edits.replace(key.clone(), &masked);
                }
                return self.whole(value, every);
            }
        };
        if let Some(masked) = masked {
            let mut out = Vec::new();
            escape_like_server(&masked, &mut out);
            self.edits.replace(inside, &out);
        }
        Some(value.end)
    }

    /// Handles a user. Name and groups are kept, or pseudonymised if the operator asks for it; of `extra`, only the
    /// allowed keys are kept.
    pub(super) fn user(&mut self, at: &Range<usize>, flags: Flags) -> Option<usize> {
        if self.redaction.pseudonymise_users {
            let mut names = Vec::new();
            crate::json::members(self.line, at.start, |key, value| {
                match json::unescape(key).as_ref() {
                    "username" if value.string => names.push(value.at.range()),
                    "uid" if value.string => names.push(value.at.range()),
                    "groups" if value.depth == 1 => {
                        crate::json::elements(self.line, value.at.range().start, |group| {
                            names.push(group.at.range());
                        });
                    }
                    _ => {}
                }
            });
            for name in names {
                let pseudonym = self.redaction.pseudonym(&json::unescape(&self.line[name.clone()]));
                if let Some(pseudonym) = pseudonym {
                    self.edits.replace(name, pseudonym.as_bytes());
                }
            }
        }
        self.whole(at, flags.with(Flags::USER))
    }

    /// Handles the object reference. The name of an OAuth token is itself a token.
    fn object(&mut self, at: &Range<usize>, flags: Flags) -> Option<usize> {
        let named = Flags::NAMED.with(Flags::NAME).when(self.context.flags.has(Flags::NAMED));
        self.whole(at, flags.with(named))
    }
}

/// The members of the event. Values whose ends are known are not parsed again.
fn members(record: &Record<'_>) -> Option<Vec<Member>> {
    let line = record.line;
    let fields = &record.event.fields;
    let known = [
        fields.user,
        fields.source_ips,
        fields.object_ref,
        fields.response_status,
        fields.request_object,
        fields.response_object,
        fields.annotations,
        fields.impersonated_user,
    ];
    let mut all = Vec::with_capacity(24);
    let mut at = blank(line, usize::from(line.first() == Some(&b'{')));
    while line.get(at)? != &b'}' {
        if !all.is_empty() {
            line.get(at).filter(|byte| **byte == b',')?;
            at = blank(line, at + 1);
        }
        line.get(at).filter(|byte| **byte == b'"')?;
        let close = string_end(line, at + 1)?;
        let colon = blank(line, close + 1);
        line.get(colon).filter(|byte| **byte == b':')?;
        let start = blank(line, colon + 1);
        let end = match line.get(start)? {
            b'"' => string_end(line, start + 1)? + 1,
            b'{' | b'[' => match known.iter().find(|at| at.start as usize == start) {
                Some(at) => at.end as usize,
                None => value(line, start)?.1,
            },
            _ => scalar_end(line, start)?,
        };
        all.push(Member { key: at + 1..close, value: start..end });
        at = blank(line, end);
    }
    Some(all)
}
