//! Request URIs: what a query gives away by name or by looks, command lines of `exec`, and all that goes through a proxy.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::Redaction;
use super::context::{Context, OAUTH};
use super::element::takes_secret;
use super::frame::Flags;
use super::program::{Flag, Program};
use super::token::is_token;
use super::words::{Name, harmless_value, judge};

/// Parameters whose values are secrets in a URI, though the same word names something harmless in a body.
const PARAMETERS: &[&str] = &[
    "sig",
    "signature",
    "x-amz-signature",
    "x-goog-signature",
    "code",
    "state",
    "auth",
    "key",
    "pass",
    "sas",
    "hmac",
    "otp",
    "pin",
    "session",
    "session_id",
    "sessionid",
    "sid",
    "ticket",
    "nonce",
    "assertion",
];

impl Redaction {
    /// A URI without its secrets; `None` if it has none. `seen` says that the screen saw something in it.
    pub(super) fn uri(&self, uri: &str, seen: bool, context: &Context<'_>) -> Option<String> {
        let (path, query) = match uri.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (uri, None),
        };
        let encoded = uri.contains('%') || query.is_some_and(|query| query.contains('+'));
        let seen = seen
            || context.flags.has(Flags::EVERY)
            || encoded && !self.screen.hits(decoded(&decoded(uri)).as_bytes()).is_empty();
        let segments: Vec<_> = path.split('/').map(decoded).collect();
        let proxy = segments.iter().position(|segment| segment == "proxy");
        let named = segments.iter().any(|segment| OAUTH.contains(&segment.as_ref()));
        let tail = proxy.filter(|_| self.proxy_paths);
        let new_path = (seen || named || tail.is_some())
            .then(|| self.path(path, &segments, tail, context))
            .flatten();
        let new_query = query.and_then(|query| self.query(query, seen, proxy.is_some(), context));
        if new_path.is_none() && new_query.is_none() {
            return None;
        }
        let mut out = new_path.unwrap_or_else(|| path.to_owned());
        if let Some(query) = query {
            out.push('?');
            out.push_str(new_query.as_deref().unwrap_or(query));
        }
        Some(out)
    }

    fn path(
        &self,
        path: &str,
        segments: &[Cow<'_, str>],
        tail: Option<usize>,
        context: &Context<'_>,
    ) -> Option<String> {
        let whole = decoded(path);
        if whole.contains("://")
            && let Some(masked) = self.masked(&whole, context)
        {
            return Some(encode(&masked, b"/:@"));
        }
        let plain =
            tail.is_none() && !segments.iter().any(|segment| OAUTH.contains(&segment.as_ref()));
        if plain && self.text_twice(&whole, context).is_none() {
            return None;
        }
        let mut changed = false;
        let mut out: Vec<Cow<'_, str>> = path.split('/').map(Cow::Borrowed).collect();
        let mut token = false;
        for (index, segment) in segments.iter().enumerate() {
            if segment.is_empty() || is_token(segment.as_bytes()) {
                continue;
            }
            let named = std::mem::replace(&mut token, OAUTH.contains(&segment.as_ref()));
            let behind = tail.is_some_and(|proxy| index > proxy);
            let masked = if named || behind {
                Some(self.mode.token(segment.as_bytes()).into_owned())
            } else {
                self.text_twice(segment, context)
            };
            if let Some(masked) = masked {
                out[index] = encode(&masked, b":@").into();
                changed = true;
            }
        }
        changed.then(|| out.join("/"))
    }

    fn query(&self, query: &str, seen: bool, proxy: bool, context: &Context<'_>) -> Option<String> {
        let mut changed = false;
        let mut command = Command::default();
        let new: Vec<_> = query
            .split('&')
            .map(|part| {
                let new = self.parameter(part, seen, proxy, &mut command, context);
                changed |= new.is_some();
                new.map_or(Cow::Borrowed(part), Cow::Owned)
            })
            .collect();
        changed.then(|| new.join("&"))
    }

    fn parameter(
        &self,
        part: &str,
        seen: bool,
        proxy: bool,
        command: &mut Command,
        context: &Context<'_>,
    ) -> Option<String> {
        let Some((name, value)) = part.split_once('=') else {
            let text = spaced(part);
            let masked = if proxy && !part.is_empty() && !is_token(text.as_bytes()) {
                Some(self.mode.token(text.as_bytes()).into_owned())
            } else {
                seen.then(|| self.text_twice(&text, context)).flatten()
            };
            return masked.map(|masked| encode(&masked, b"=/:"));
        };
        let plain = spaced(name);
        let value = spaced(value);
        let suspicious = || {
            PARAMETERS.iter().any(|other| plain.eq_ignore_ascii_case(other))
                || matches!(judge(&plain), Name::Suspicious | Name::Header)
                || context.blanks_key(&plain)
                || plain == "continue" && context.flags.has(Flags::NAMED)
        };
        // Each word of a command counts, since it says what the next one is.
        let word = (plain == "command" && !proxy).then(|| command.word(self, &value, context));
        let masked = if value.is_empty() || is_token(value.as_bytes()) {
            None
        } else if proxy || suspicious() && !harmless_value(&value) && !context.keeps_key(&plain) {
            Some(self.mode.token(value.as_bytes()).into_owned())
        } else if let Some(word) = word {
            word
        } else {
            seen.then(|| self.text_twice(&value, context)).flatten()
        };
        let name_masked = seen.then(|| self.shape(&plain, context)).flatten();
        if masked.is_none() && name_masked.is_none() {
            return None;
        }
        let name = name_masked.map_or_else(|| name.to_owned(), |name| encode(&name, b":"));
        let value = masked.map_or_else(|| encode(&value, b"/:="), |value| encode(&value, b"/:="));
        Some(format!("{name}={value}"))
    }

    /// A text masked; blanked whole where that shows only once it is decoded again.
    fn text_twice(&self, text: &str, context: &Context<'_>) -> Option<String> {
        if let Some(masked) = self.masked(text, context) {
            return Some(masked);
        }
        let again = spaced(text);
        let hidden = again != text && self.masked(&again, context).is_some();
        hidden.then(|| self.mode.token(text.as_bytes()).into_owned())
    }

    /// The name of a parameter can be a secret by its looks.
    fn shape(&self, name: &str, context: &Context<'_>) -> Option<String> {
        (name.len() > 12).then(|| self.masked(name, context)).flatten()
    }
}

/// The words of `exec`'s command line, one parameter each.
#[derive(Default)]
struct Command {
    program: Option<Program>,
    flagged: bool,
}

impl Command {
    fn word(&mut self, redaction: &Redaction, word: &str, context: &Context<'_>) -> Option<String> {
        let flagged = std::mem::take(&mut self.flagged);
        let flag = self.program.and_then(|program| program.flag(word));
        self.program = self.program.or_else(|| Program::named(word));
        self.flagged = flag == Some(Flag::Next) || takes_secret(word);
        let from = match flag {
            Some(Flag::Rest(from)) => from,
            _ if flagged && !word.starts_with('-') && !harmless_value(word) => 0,
            _ => return redaction.text_twice(word, context),
        };
        let part = from..word.len();
        (!is_token(&word.as_bytes()[part.clone()]))
            .then(|| redaction.replaced(word, std::slice::from_ref(&part)))
    }
}

/// With `%41` undone, and `+`, which is a blank in a query.
fn spaced(text: &str) -> Cow<'_, str> {
    if text.contains('+') {
        decoded(&text.replace('+', " ")).into_owned().into()
    } else {
        decoded(text)
    }
}

/// With `%41` undone; broken UTF-8 is repaired, for nothing of it is written.
fn decoded(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return text.into();
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let hex = text.get(at + 1..at + 3).filter(|hex| *byte == b'%' && !hex.starts_with('+'));
        if let Some(code) = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            out.push(code);
            at += 3;
        } else {
            out.push(*byte);
            at += 1;
        }
    }
    String::from_utf8_lossy(&out).into_owned().into()
}

/// Percent-encoded, but for what need not be.
fn encode(text: &str, but: &[u8]) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~*".contains(&byte) || but.contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}
