//! Keeps credentials out of everything that is shown of an answer: log, `check`, `status`, pages, dead letters.
//!
//! A store, a proxy or a sign-in page may repeat the request that it answers: its URL, its headers, its credentials. So
//! whatever an output says of an answer goes through [`Secrets::blank`] before it leaves the room; `door.rs` sees to that.
//!
//! Two things are blanked. *Ours*: any eight bytes in a row of a secret that this process sends or has sent, in any of the
//! forms of [`forms`], also where the answer encodes it (`views.rs`) or breaks it over lines or tags. *Anybody's*: what
//! stands where credentials stand, whatever its value (`shapes.rs`).
//!
//! Not blanked: a secret of ours shorter than [`SHORTEST`] where it stands alone, since it may be part of any word; what is
//! left of a secret that was cut to less than eight bytes; the name of a user or a tenant, and the path of a URL that an
//! answer names.

use std::collections::{HashSet, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

mod shapes;
#[cfg(test)]
mod tests;
mod views;

use shapes::Shapes;
use views::View;

/// What stands in place of what is blanked.
const BLANK: &str = "***";
/// The shortest secret that is blanked where it stands alone, in bytes.
pub(super) const SHORTEST: usize = 6;
/// So many bytes in a row of a secret are a part of it that is not shown.
const PART: usize = 8;
/// A text that was cut may end with so many bytes of a secret.
const CUT: usize = 3;
/// Most bytes of a text, before and after.
const LONGEST: usize = 2048;
/// Secrets that were replaced and are still blanked: an answer may be late, and a proxy may have a log of its own.
const EARLIER: usize = 32;

/// What must not be shown.
#[derive(Clone)]
pub(super) struct Secrets {
    /// The present ones last.
    sets: VecDeque<Arc<Forms>>,
    /// Those that are in the configuration alone, and so never change.
    fixed: Arc<Forms>,
    shapes: Arc<Shapes>,
}

/// Every form of some secrets.
#[derive(Default)]
struct Forms {
    all: Vec<Vec<u8>>,
    parts: HashSet<[u8; PART]>,
}

impl Secrets {
    /// `sent`: passwords, tokens, keys, and what is sent in their place.
    pub(super) fn new<'a>(sent: impl IntoIterator<Item = &'a str>) -> Self {
        let sets = VecDeque::from([Arc::new(Forms::of(sent))]);
        Self { sets, fixed: Arc::default(), shapes: Arc::new(Shapes::new()) }
    }

    /// These too, for as long as the process lives.
    pub(super) fn fix<'a>(&mut self, sent: impl IntoIterator<Item = &'a str>) {
        self.fixed = Arc::new(Forms::of(sent));
    }

    /// These, and those that were in use before.
    pub(super) fn after(mut self, earlier: &Self) -> Self {
        for set in earlier.sets.iter().rev().take(EARLIER) {
            self.sets.push_front(Arc::clone(set));
        }
        self.fixed = Arc::clone(&earlier.fixed);
        self
    }

    /// The text on one line, without control characters, credentials and what is beyond [`LONGEST`].
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

    /// Adds where the text has a part of a form.
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

/// A secret as it may be repeated: as it is, form-encoded, in base64 at any place of a longer text, in hex.
fn forms(secret: &str) -> Vec<Vec<u8>> {
    let plain: Vec<u8> = bare(secret.as_bytes());
    let mut forms = vec![plain, secret.replace(' ', "+").into_bytes()];
    for before in 0..3 {
        let mut bytes = vec![0; before];
        bytes.extend_from_slice(secret.as_bytes());
        let (open, used) = ([0, 2, 3][before], bytes.len() * 8 / 6);
        for text in [STANDARD_NO_PAD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes)] {
            // Without the characters that depend on what stands beside the secret.
            forms.extend(text.as_bytes().get(open..used).map(<[u8]>::to_vec));
        }
    }
    let hex = |digits: &[u8; 16]| -> Vec<u8> {
        let pair = |byte: u8| [digits[usize::from(byte >> 4)], digits[usize::from(byte & 15)]];
        secret.bytes().flat_map(pair).collect()
    };
    forms.extend([hex(b"0123456789abcdef"), hex(b"0123456789ABCDEF")]);
    if secret.len() < SHORTEST {
        // In hex and base64 it is as short as that, or hardly longer.
        return Vec::new();
    }
    forms.retain(|form| form.len() >= SHORTEST);
    forms
}

/// Without what is left out when secrets are searched for.
fn bare(text: &[u8]) -> Vec<u8> {
    String::from_utf8_lossy(text)
        .chars()
        .filter(|c| !views::is_nothing(*c))
        .collect::<String>()
        .into()
}

/// The text with these stretches blanked.
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

/// Characters that would change how a line looks to a person: controls, and marks of direction or without width.
fn is_odd(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

pub(super) fn one_line(text: &str) -> String {
    text.chars().map(|c| if is_odd(c) { ' ' } else { c }).collect()
}

fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}
