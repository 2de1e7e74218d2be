//! Redacts credentials in everything that is shown of an answer: log, `check`, `status`, pages, dead letters.
//!
//! A store, a proxy or a sign-in page may repeat the request that it answers: its URL, its headers, its credentials. So
//! every text about an answer goes through [`Secrets::blank`] before it leaves the output module; `door.rs` ensures
//! that.
//!
//! Two kinds of secrets are redacted. *Ours*: any eight consecutive bytes of a secret that this process sends or has
//! sent, in any of the forms of [`forms`], even if the answer encodes them (`views.rs`) or breaks them with line breaks
//! or tags. *Anybody's*: every value in a place where credentials usually are (`shapes.rs`).
//!
//! Not redacted: one of our secrets that is shorter than [`SHORTEST`], since it may be part of any word. Nor is the
//! rest of a secret that was cut to fewer than eight bytes, the name of a user or a tenant, or the path of a URL in
//! an answer.

use std::collections::{HashSet, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

mod odd;
mod shapes;
#[cfg(test)]
mod tests;
mod views;

use odd::is_odd;
use shapes::Shapes;
use views::View;

/// The replacement for redacted text.
const BLANK: &str = "***";
/// The shortest secret that is redacted by itself, in bytes.
pub(super) const SHORTEST: usize = 6;
/// This many consecutive bytes of a secret are redacted.
const PART: usize = 8;
/// If a text was cut, a secret's first bytes at the cut are redacted from this length on.
const CUT: usize = 3;
/// Most bytes of a text, before and after redaction.
const LONGEST: usize = 2048;
/// How many sets of replaced secrets are still redacted: an answer may be late, and a proxy may quote its own log.
const EARLIER: usize = 32;

/// The secrets to redact.
#[derive(Clone)]
pub(super) struct Secrets {
    /// One set per change of the credential files, the current one last.
    sets: VecDeque<Arc<Forms>>,
    /// The secrets that are in the configuration only and so never change.
    fixed: Arc<Forms>,
    shapes: Arc<Shapes>,
}

/// Some secrets in every form in which they may appear.
#[derive(Default)]
struct Forms {
    all: Vec<Vec<u8>>,
    parts: HashSet<[u8; PART]>,
}

impl Secrets {
    /// `sent`: passwords, tokens, keys, and their encoded forms in requests.
    pub(super) fn new<'a>(sent: impl IntoIterator<Item = &'a str>) -> Self {
        let sets = VecDeque::from([Arc::new(Forms::of(sent))]);
        Self { sets, fixed: Arc::default(), shapes: Arc::new(Shapes::new()) }
    }

    /// Sets the secrets that are redacted for as long as the process lives.
    pub(super) fn fix<'a>(&mut self, sent: impl IntoIterator<Item = &'a str>) {
        self.fixed = Arc::new(Forms::of(sent));
    }

    /// These secrets, and those that `earlier` redacted.
    pub(super) fn after(mut self, earlier: &Self) -> Self {
        for set in earlier.sets.iter().rev().take(EARLIER) {
            self.sets.push_front(Arc::clone(set));
        }
        self.fixed = Arc::clone(&earlier.fixed);
        self
    }

    /// The text on one line and at most [`LONGEST`] bytes long, without control characters and with credentials
    /// redacted.
    pub(super) fn blank(&self, text: &str) -> String {
        let mut text = if text.len() > LONGEST {
            format!("{}…", cut(text, LONGEST))
        } else {
            text.to_owned()
        };
        text = one_line(&text);
        let mut found = Vec::new();
        for view in View::all(&text) {
            if view.spaced {
                self.shapes.find(&view, &mut found);
            }
            for compact in view.compact() {
                for set in self.sets.iter().chain([&self.fixed]) {
                    set.find(&compact, &mut found);
                }
            }
        }
        let blanked = without(&text, found);
        cut(&blanked, LONGEST).to_owned()
    }
}

impl Forms {
    fn of<'a>(sent: impl IntoIterator<Item = &'a str>) -> Self {
        let mut all: Vec<Vec<u8>> = sent.into_iter().flat_map(forms).collect();
        all.sort_unstable();
        all.dedup();
        let windows = all.iter().flat_map(|form| form.windows(PART));
        let parts = windows.filter_map(|part| part.try_into().ok()).collect();
        Self { all, parts }
    }

    /// Adds the ranges where the text contains a part of a form.
    fn find(&self, view: &View, found: &mut Vec<Range<usize>>) {
        let text = view.bytes();
        for (at, part) in text.windows(PART).enumerate() {
            if self.parts.contains(part) {
                found.push(view.origin(at..at + PART));
            }
        }
        for form in self.all.iter().filter(|form| form.len() < PART) {
            let hits = memchr::memmem::find_iter(text, form);
            found.extend(hits.map(|at| view.origin(at..at + form.len())));
        }
        for end in memchr::memmem::find_iter(text, "…") {
            let beginning = |length: &usize| {
                let tail = &text[end - length..end];
                self.all.iter().any(|form| form.starts_with(tail))
            };
            if let Some(length) = (CUT..PART.min(end + 1)).rev().find(beginning) {
                found.push(view.origin(end - length..end));
            }
        }
    }
}

/// The forms in which a text may repeat a secret: plain, form-encoded, hex, and base64 at any offset in a longer text.
fn forms(secret: &str) -> Vec<Vec<u8>> {
    let plain: Vec<u8> = bare(secret.as_bytes());
    let mut forms = vec![plain, secret.replace(' ', "+").into_bytes()];
    for before in 0..3 {
        let mut bytes = vec![0; before];
        bytes.extend_from_slice(secret.as_bytes());
        let (open, used) = ([0, 2, 3][before], bytes.len() * 8 / 6);
        for text in [STANDARD_NO_PAD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes)] {
            // Leave out the characters that also depend on the bytes beside the secret.
            forms.extend(text.as_bytes().get(open..used).map(<[u8]>::to_vec));
        }
    }
    let hex = |digits: &[u8; 16]| -> Vec<u8> {
        let pair = |byte: u8| [digits[usize::from(byte >> 4)], digits[usize::from(byte & 15)]];
        secret.bytes().flat_map(pair).collect()
    };
    forms.extend([hex(b"0123456789abcdef"), hex(b"0123456789ABCDEF")]);
    if secret.len() < SHORTEST {
        // Its hex and base64 forms are as short, or hardly longer.
        return Vec::new();
    }
    forms.retain(|form| form.len() >= SHORTEST);
    forms
}

/// The text without the characters that the search for secrets ignores.
fn bare(text: &[u8]) -> Vec<u8> {
    String::from_utf8_lossy(text)
        .chars()
        .filter(|c| !views::is_nothing(*c))
        .collect::<String>()
        .into()
}

/// The text with these ranges redacted.
fn without(text: &str, mut stretches: Vec<Range<usize>>) -> String {
    stretches.sort_unstable_by_key(|stretch| stretch.start);
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for stretch in stretches {
        let start = text.floor_char_boundary(stretch.start.max(at));
        let end = text.ceil_char_boundary(stretch.end);
        if end <= at {
            continue;
        }
        out.push_str(&text[at..start]);
        if start > at || !out.ends_with(BLANK) {
            out.push_str(BLANK);
        }
        at = end;
    }
    out.push_str(&text[at..]);
    out
}

/// The text on one line: a space in the place of each odd character.
pub(super) fn one_line(text: &str) -> String {
    text.chars().map(|c| if is_odd(c) { ' ' } else { c }).collect()
}

fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}
