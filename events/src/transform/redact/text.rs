//! Finds secrets in any text: a value, a command, a message, a file of a `ConfigMap`. The text around them is kept.

use std::ops::Range;

use super::base64_runs::{is_public, runs, with_lines};
use super::context::join;
use super::hits::{Hit, Hits};
use super::name_words::in_name;
use super::patterns::What;
use super::prefilter::Screen;
use super::secret_names::judge;
use super::secret_shapes;
use super::token::is_token;
use super::values::is_harmless;
use super::{assigned, command_line, field_error, pipe, sql};
use crate::json;

/// The secrets found in a text.
#[derive(Debug, Default, PartialEq)]
pub(super) enum Secrets {
    #[default]
    None,
    /// These ranges are secret; they are in order and do not overlap.
    Parts(Vec<Range<usize>>),
    /// The whole text is treated as secret, because its parts cannot be told apart.
    All,
}

/// Finds the secrets of a text.
pub(super) fn secrets(screen: &Screen, text: &str) -> Secrets {
    secrets_at(screen, text, &screen.hits(text.as_bytes()))
}

/// Finds the secrets of a text whose prefilter hits are known.
pub(super) fn secrets_at(screen: &Screen, text: &str, hits: &Hits) -> Secrets {
    if hits.overflow {
        return Secrets::All;
    }
    if hits.is_empty() {
        return Secrets::None;
    }
    let mut search = SecretSearch {
        text,
        found: Vec::new(),
        aside: Vec::new(),
        public: None,
        data: None,
        name: 0,
        url: 0,
        escape: false,
        block: 0,
        line: 0,
        lines: None,
    };
    for hit in hits.within(0..text.len()) {
        if search.look(screen, *hit) {
            return Secrets::All;
        }
    }
    search.finish()
}

struct SecretSearch<'t> {
    text: &'t str,
    found: Vec<Range<usize>>,
    /// Public keys and certificates; computed when first needed.
    public: Option<Vec<Range<usize>>>,
    /// Whether the text contains `data`; computed when first needed.
    data: Option<bool>,
    /// The escapes of the text were already checked.
    escape: bool,
    /// Further secrets, which stand before or after the place that revealed them.
    aside: Vec<Range<usize>>,
    /// Ends of the last name, URL, YAML block and command line that were handled, so that nothing is read twice.
    name: usize,
    url: usize,
    block: usize,
    line: usize,
    /// Whether the text has several lines; computed when first needed.
    lines: Option<bool>,
}

impl SecretSearch<'_> {
    /// Handles one hit; returns whether the whole text is a secret.
    fn look(&mut self, screen: &Screen, hit: Hit) -> bool {
        let (text, at) = (self.text.as_bytes(), hit.at as usize);
        if self.found.last().is_some_and(|last| last.end > at) {
            return false;
        }
        let found = match hit.what {
            What::Word => return self.word(at),
            What::Scheme => {
                self.word(at);
                secret_shapes::scheme(text, at)
            }
            What::Quoted => field_error::value(text, at),
            // The slashes may have been escaped in the string.
            What::Url if at < self.url || at + 3 > text.len() => None,
            What::Url => {
                self.found.extend(secret_shapes::hook(text, at));
                secret_shapes::userinfo(text, at).map_err(|end| self.url = end).ok()
            }
            What::Jwt => secret_shapes::jwt(text, at),
            What::Pem => secret_shapes::pem(text, at),
            What::Signature => secret_shapes::signature(text, at),
            What::Marked => screen.formats().at(text, at),
            What::Run => self.run(at),
            What::Program => {
                self.program(at);
                None
            }
            What::Sql => sql::identified(text, at),
            What::Account => secret_shapes::account(text, at),
            What::Hash => secret_shapes::hash(text, at),
            What::Jaas => {
                secret_shapes::users(text, at, |part| self.aside.push(part));
                None
            }
            What::Acl => {
                secret_shapes::acl(text, at, |part| self.aside.push(part));
                None
            }
            What::Key | What::Commands => None,
            // Text that is not JSON has no escapes, unless it is a remainder of JSON.
            What::Escape => {
                let again = || {
                    let plain = json::unescape(text);
                    plain != self.text && secrets(screen, &plain) != Secrets::None
                };
                return !std::mem::replace(&mut self.escape, true) && again();
            }
        };
        self.found.extend(found);
        false
    }

    fn word(&mut self, at: usize) -> bool {
        let text = self.text.as_bytes();
        if at < self.name {
            return false;
        }
        let back = text[self.name..at].iter().rev().take_while(|byte| in_name(**byte)).count();
        let end = at + text[at..].iter().take_while(|byte| in_name(**byte)).count();
        let name = at - back..end;
        self.name = end;
        let Some(written) = self.text.get(name.clone()) else { return false };
        if written.starts_with("Secret") && kind(text, name.start) {
            // `data` or `stringData`.
            let search = || memchr::memmem::find(text, b"ata").is_some();
            if *self.data.get_or_insert_with(search) {
                return true;
            }
        }
        let judged = judge(written);
        if pipe::reads(written) {
            self.aside.extend(pipe::fed(text, name.start));
        }
        if command_line::is_program(written) {
            self.program(name.start);
        }
        if !judged.is_any() {
            return false;
        }
        let (block, whole) = (self.block, self.text);
        let lines = *self.lines.get_or_insert_with(|| memchr::memchr(b'\n', text).is_some());
        let found = &mut self.found;
        let end = assigned::value((text, lines), name.clone(), judged, |at| {
            let value = whole.get(at.clone()).unwrap_or_default();
            if let Some(part) = judged.secret_in(value) {
                found.push(at.start + part.start..at.start + part.end);
            } else if at.len() > value.len() {
                found.push(at);
            }
        });
        match end {
            Some(_) if name.start < block => {}
            Some(end) => self.block = end,
            None => {}
        }
        false
    }

    fn run(&mut self, at: usize) -> Option<Range<usize>> {
        let text = self.text.as_bytes();
        let public = self.public.get_or_insert_with(|| secret_shapes::public_pem(text));
        let next = public.partition_point(|block| block.end <= at);
        if public.get(next).is_some_and(|block| block.start <= at) {
            return None;
        }
        let mut first = None;
        let window = &text[at..];
        let length = window.iter().take_while(|byte| super::base64_runs::inside(**byte)).count();
        runs(&window[..length], |run| first = first.take().or(Some(at + run.start..at + run.end)));
        let first = first?;
        if is_digest(&text[..first.start])
            || [&b"sha256-"[..], b"sha384-", b"sha512-"]
                .iter()
                .any(|mark| text[first.clone()].starts_with(mark))
            || is_public_key(&text[first.clone()])
        {
            return None;
        }
        let whole = with_lines(text, first);
        (!is_public(&text[whole.clone()])).then_some(whole)
    }

    fn program(&mut self, at: usize) {
        let before = &self.text.as_bytes()[..at];
        let at = at - before.iter().rev().take(32).take_while(|byte| in_name(**byte)).count();
        self.aside.extend(pipe::fed(self.text.as_bytes(), at));
        if at < self.line {
            return;
        }
        let found = &mut self.found;
        let Some(line) = self.text.get(at..) else { return };
        let end = command_line::secrets(line, |part| found.push(at + part.start..at + part.end));
        self.line = end.map_or(self.line, |end| at + end);
    }

    /// Sorts the secrets, joins overlapping ones, removes harmless ones, and extends them to whole characters.
    fn finish(mut self) -> Secrets {
        let text = self.text;
        self.found.append(&mut self.aside);
        self.found.retain_mut(|at| {
            at.start = text.floor_char_boundary(at.start);
            at.end = text.ceil_char_boundary(at.end);
            let part = &text[at.clone()];
            !is_harmless(part) && !is_token(part.as_bytes())
        });
        join(&mut self.found);
        if self.found.is_empty() { Secrets::None } else { Secrets::Parts(self.found) }
    }
}

/// Whether the text before a run marks it as a digest, in the form of npm and browsers (`sha512-…`) or of Go
/// (`h1:…`).
fn is_digest(before: &[u8]) -> bool {
    [&b"sha256-"[..], b"sha384-", b"sha512-", b"h1:", b"SHA256:"]
        .iter()
        .any(|mark| before.ends_with(mark))
}

/// Whether base64 is a public SSH key (RFC 4253, section 6.6): it begins with the length and name of its kind.
fn is_public_key(run: &[u8]) -> bool {
    [&b"AAAAB3NzaC1"[..], b"AAAAC3NzaC1", b"AAAAE2VjZHNh", b"AAAAGnNrLXNzaC1", b"AAAAInNrLWVjZHNh"]
        .iter()
        .any(|begin| run.starts_with(begin))
}

/// Whether the `Secret` at `at` is the value of `kind:`, in YAML or in JSON that could not be parsed.
fn kind(text: &[u8], at: usize) -> bool {
    let trim = |text: &[u8]| {
        let blank = text.iter().rev().take_while(|byte| b" \t\"'\\".contains(byte)).count();
        text.len() - blank
    };
    let before = &text[..trim(&text[..at])];
    let Some(before) = before.strip_suffix(b":") else { return false };
    let before = &before[..trim(before)];
    before.ends_with(b"kind")
}
