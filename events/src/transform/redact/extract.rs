//! Makes the extract of a line that cannot be parsed: the fields that could be read, each checked for its form, and
//! never the line itself.

use std::net::IpAddr;

use serde_json::{Map, Value, json};

use super::Redaction;
use super::context::Context;
use super::token::hash;
use crate::event::{Record, Span, rfc3339};
use crate::json::{self, elements, members};

impl Redaction {
    /// Appends the extract of a piece that cannot be parsed: a JSON object with the readable fields, the length of
    /// the piece and its hash. The same line always has the same extract. No other part of such a piece may leave the
    /// node.
    pub(super) fn fields(&self, record: &Record<'_>, out: &mut Vec<u8>) {
        let mut all = Map::new();
        let fields = &record.event.fields;
        let context = Context::new(
            self,
            &[record.text(fields.resource).unwrap_or_default()],
            "",
            "",
            Vec::new(),
        );
        let read = |at: Span| record.text(at).map(std::borrow::Cow::into_owned);
        let word = |at: Span| read(at).filter(|text| is_word(text));
        let mut put = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                all.insert(key.to_owned(), value);
            }
        };
        put("kind", Some("Unreadable".into()));
        put("level", word(fields.level).map(Value::from));
        put(
            "auditID",
            read(fields.audit_id).map(|id| self.audit_id(&id, &context).unwrap_or(id).into()),
        );
        put("stage", word(fields.stage).map(Value::from));
        let uri = read(fields.request_uri).map(|uri| self.uri(&uri, true, &context).unwrap_or(uri));
        put("requestURI", uri.map(|uri| cut(uri, 1024).into()));
        put("verb", word(fields.verb).map(Value::from));
        let user = read(fields.username).map(|name| {
            let other = self.pseudonym(&name).map(std::borrow::Cow::into_owned);
            let other = other.or_else(|| self.masked(&name, &context));
            json!({ "username": cut(other.unwrap_or(name), 256) })
        });
        put("user", user);
        put("sourceIPs", addresses(record));
        put(
            "userAgent",
            read(fields.user_agent)
                .map(|agent| self.user_agent(&agent, &context).unwrap_or(agent).into()),
        );
        put("objectRef", self.reference(record, &context));
        put("responseStatus", code(record).map(|code| json!({ "code": code })));
        let stamp = |at: Span| {
            let stamp = read(at)?;
            rfc3339(stamp.as_bytes()).map(|_| Value::from(stamp))
        };
        put("requestReceivedTimestamp", stamp(fields.received));
        put("stageTimestamp", stamp(fields.stage_time));
        put("bytes", Some(record.line.len().into()));
        put("hash", self.key.as_ref().map(|key| hash(key, record.line).into()));
        // Writing a map of strings and numbers cannot fail.
        let _ = serde_json::to_writer(out, &Value::Object(all));
    }

    fn reference(&self, record: &Record<'_>, context: &Context<'_>) -> Option<Value> {
        let fields = &record.event.fields;
        let oauth = context.flags.has(super::flags::Flags::NAMED);
        let all: Map<String, Value> = [
            ("resource", fields.resource),
            ("subresource", fields.subresource),
            ("namespace", fields.namespace),
            ("name", fields.name),
        ]
        .into_iter()
        .filter_map(|(key, at)| {
            let text = record.text(at)?.into_owned();
            let masked = if oauth && key == "name" {
                Some(self.mode.token(text.as_bytes()).into_owned())
            } else {
                self.masked(&text, context)
            };
            let text = masked.unwrap_or(text);
            (text.len() < 254 && !text.contains(char::is_whitespace))
                .then(|| (key.to_owned(), text.into()))
        })
        .collect();
        (!all.is_empty()).then_some(Value::Object(all))
    }
}

/// Whether an object has only the keys that an extract can have besides the fields that identify an event.
pub(super) fn is_extract(line: &[u8]) -> bool {
    const KEYS: &[&[u8]] = &[
        b"kind",
        b"level",
        b"user",
        b"sourceIPs",
        b"userAgent",
        b"objectRef",
        b"responseStatus",
        b"requestReceivedTimestamp",
        b"stageTimestamp",
        b"bytes",
        b"hash",
    ];
    let mut known = true;
    let read = members(line, 0, |key, _| known &= KEYS.contains(&key));
    read.is_some() && known
}

/// A level, a stage or a verb: only letters.
fn is_word(text: &str) -> bool {
    text.len() < 24 && text.bytes().all(|byte| byte.is_ascii_alphabetic())
}

fn cut(mut text: String, limit: usize) -> String {
    text.truncate(text.floor_char_boundary(limit));
    text
}

fn addresses(record: &Record<'_>) -> Option<Value> {
    let at = record.event.fields.source_ips;
    let mut all = Vec::new();
    elements(record.line, at.start as usize, |value| {
        let address = json::unescape(&record.line[value.at.range()]).parse::<IpAddr>();
        all.extend(address.ok().map(|address| Value::from(address.to_string())));
    })?;
    Some(all.into())
}

fn code(record: &Record<'_>) -> Option<u16> {
    record.text(record.event.fields.code)?.parse().ok()
}
