//! Redacts request URIs: query parameters with suspicious names or values, the command lines of `exec`, and proxied
//! requests.
//!
//! The rest of the URI keeps its encoding byte for byte.

use std::borrow::Cow;

use super::Redaction;
use super::command_line::CommandLine;
use super::context::{Context, OAUTH};
use super::flags::Flags;
use super::lists::lists;
use super::percent::{Plain, decoded};
use super::secret_names::judge;
use super::text::Secrets;
use super::token::is_token;
use super::values::{is_harmless, is_measure};

impl Redaction {
    /// A URI without its secrets; `None` if it has none. `seen` says that the prefilter has a hit in it.
    pub(super) fn uri(&self, uri: &str, seen: bool, context: &Context<'_>) -> Option<String> {
        let (path, query) = match uri.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (uri, None),
        };
        let encoded = uri.contains('%') || query.is_some_and(|query| query.contains('+'));
        let seen = seen
            || context.flags.has(Flags::EVERY)
            || encoded
                && !self
                    .screen
                    .hits(decoded(&decoded(&uri.replace('+', " "))).as_bytes())
                    .is_empty();
        let segments: Vec<_> = path.split('/').map(|segment| Plain::new(segment, false)).collect();
        let proxy = segments.iter().position(|segment| segment.text == "proxy");
        let named = segments.iter().any(|segment| before_token(&segment.text));
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
        segments: &[Plain<'_>],
        tail: Option<usize>,
        context: &Context<'_>,
    ) -> Option<String> {
        let whole = Plain::new(path, false);
        if whole.text.contains("://")
            && let Some(masked) = self.part(&whole, context)
        {
            return Some(masked);
        }
        let plain = tail.is_none() && !segments.iter().any(|segment| before_token(&segment.text));
        if plain && self.part(&whole, context).is_none() {
            return None;
        }
        let mut changed = false;
        let mut out: Vec<Cow<'_, str>> = path.split('/').map(Cow::Borrowed).collect();
        let mut token = false;
        for (index, segment) in segments.iter().enumerate() {
            if segment.text.is_empty() {
                continue;
            }
            if is_token(segment.text.as_bytes()) {
                token = false;
                continue;
            }
            let named = std::mem::replace(&mut token, before_token(&segment.text));
            let behind = tail.is_some_and(|proxy| index > proxy);
            let masked = if named && !is_last_but_name(segments, index) || behind {
                Some(segment.whole(self))
            } else {
                self.part(segment, context)
            };
            if let Some(masked) = masked {
                out[index] = masked.into();
                changed = true;
            }
        }
        changed.then(|| out.join("/"))
    }

    fn query(&self, query: &str, seen: bool, proxy: bool, context: &Context<'_>) -> Option<String> {
        let mut changed = false;
        let mut command = CommandLine::default();
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
        command: &mut CommandLine,
        context: &Context<'_>,
    ) -> Option<String> {
        let Some((name, value)) = part.split_once('=') else {
            let text = Plain::new(part, true);
            let open = text.text.is_empty()
                || is_token(text.text.as_bytes())
                || !self.proxy_paths && is_plain_word(&text.text);
            return if proxy && !open {
                Some(text.whole(self))
            } else {
                seen.then(|| self.part(&text, context)).flatten()
            };
        };
        let (plain, value) = (Plain::new(name, true), Plain::new(value, true));
        let hides = || {
            let known =
                lists().parameter.iter().any(|other| plain.text.eq_ignore_ascii_case(other));
            known && !is_harmless(&value.text) && !(proxy && is_measure(&value.text))
                || judge(&plain.text).hides(&value.text)
                || context.blanks_key(&plain.text)
                || plain.text == "continue" && context.flags.has(Flags::NAMED)
                || proxy && (self.proxy_paths || !is_proxied(&plain.text, &value.text))
        };
        // Every word of a command has to be read, because it determines the meaning of the next one.
        let word = (plain.text == "command" && !proxy).then(|| command.word(&value.text));
        let masked = if value.text.is_empty() || is_token(value.text.as_bytes()) {
            None
        } else if let Some(Some(part)) = word {
            (!is_token(&value.text.as_bytes()[part.clone()]))
                .then(|| value.replaced(self, std::slice::from_ref(&part)))
        } else if word.is_none() && hides() && !context.keeps_key(&plain.text) {
            // The secret part of a URL shows by its shape.
            let url = proxy && value.text.contains("://");
            let part = if url { self.part(&value, context) } else { None };
            Some(part.unwrap_or_else(|| value.whole(self)))
        } else if word.is_some() || seen {
            self.part(&value, context)
        } else {
            None
        };
        // The name of a parameter may itself have the shape of a secret.
        let name_masked =
            if seen && plain.text.len() > 12 { self.part(&plain, context) } else { None };
        if masked.is_none() && name_masked.is_none() {
            return None;
        }
        let name = name_masked.unwrap_or_else(|| name.to_owned());
        Some(format!("{name}={}", masked.as_deref().unwrap_or(value.raw)))
    }

    /// A part of a URI with its secrets replaced. It is replaced whole if the secrets show only after decoding it
    /// once more.
    fn part(&self, part: &Plain<'_>, context: &Context<'_>) -> Option<String> {
        match self.found(&part.text, context) {
            Secrets::All => return Some(part.whole(self)),
            Secrets::Parts(parts) => return Some(part.replaced(self, &parts)),
            Secrets::None => {}
        }
        let again = Plain::new(&part.text, true);
        let hidden = again.text != part.text && self.found(&again.text, context) != Secrets::None;
        hidden.then(|| part.whole(self))
    }
}

/// Whether the segment after this one is a token: the name of an OAuth token object, or the secret of a build's
/// webhook.
fn before_token(segment: &str) -> bool {
    OAUTH.contains(&segment) || segment == "webhooks" || segment == "import"
}

/// Whether a segment is the last one, follows `webhooks` directly and does not look random. Then it is the name of an
/// object and not a token.
fn is_last_but_name(segments: &[Plain<'_>], index: usize) -> bool {
    segments[index - 1].text == "webhooks"
        && index + 1 == segments.len()
        && !super::values::is_random(&segments[index].text)
}

/// Whether a parameter of a proxied request is kept, because it is of use to an auditor.
fn is_proxied(name: &str, value: &str) -> bool {
    let signs = name.get(..6).is_some_and(|begin| begin.eq_ignore_ascii_case("x-amz-"));
    lists().proxied.iter().any(|known| name.eq_ignore_ascii_case(known))
        || signs
        || is_harmless(value)
        || is_measure(value)
        || is_plain_word(value)
}

/// Whether a value consists of letters and of signs that join words. It has no digits, or it is a measure.
fn is_plain_word(value: &str) -> bool {
    value.len() < 64
        && value.bytes().all(|byte| {
            byte.is_ascii_alphabetic() || byte.is_ascii_digit() || b"-_.,/: ".contains(&byte)
        })
        && !value.bytes().any(|byte| byte.is_ascii_digit()) | is_measure(value)
}

/// Whether a URI, as written in JSON, is of the common kind: no proxy, known parameters, nothing encoded.
pub(super) fn plain_uri(uri: &[u8]) -> bool {
    if memchr::memchr_iter(b'x', uri).any(|at| uri[..at].ends_with(b"pro"))
        || memchr::memchr_iter(b'k', uri)
            .any(|at| uri[at..].starts_with(b"ks/") && uri[..at].ends_with(b"webhoo"))
    {
        return false;
    }
    let Some(question) = memchr::memchr(b'?', uri) else {
        return memchr::memchr(b'%', uri).is_none();
    };
    if memchr::memchr3(b'%', b'+', b'\\', &uri[..question]).is_some() {
        return false;
    }
    let mut query = &uri[question + 1..];
    loop {
        let Some(equals) = memchr::memchr(b'=', query) else { return query.is_empty() };
        if !is_plain_parameter(&query[..equals]) {
            return false;
        }
        let Some(next) = memchr::memchr3(b'&', b'%', b'\\', query) else { return true };
        query = match &query[next..] {
            [b'&', rest @ ..] | [b'\\', b'u', b'0', b'0', b'2', b'6', rest @ ..] => rest,
            _ => return false,
        };
    }
}

/// Whether a parameter of a URI belongs to Kubernetes and never holds a secret.
fn is_plain_parameter(name: &[u8]) -> bool {
    matches!(
        name,
        b"command"
            | b"limit"
            | b"resourceVersion"
            | b"resourceVersionMatch"
            | b"watch"
            | b"timeout"
            | b"timeoutSeconds"
            | b"allowWatchBookmarks"
            | b"sendInitialEvents"
            | b"labelSelector"
            | b"fieldSelector"
            | b"fieldManager"
            | b"fieldValidation"
            | b"force"
            | b"dryRun"
            | b"pretty"
            | b"includeObject"
            | b"propagationPolicy"
            | b"gracePeriodSeconds"
            | b"orphanDependents"
            | b"continue"
            | b"container"
            | b"follow"
            | b"tailLines"
            | b"previous"
            | b"timestamps"
            | b"sinceSeconds"
            | b"stdin"
            | b"stdout"
            | b"stderr"
            | b"tty"
            | b"verbose"
            | b"exclude"
    )
}
