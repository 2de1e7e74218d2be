//! Redacts messages about Secrets and tokens: everything that they quote is replaced, except names that the event
//! contains anyway.

use std::ops::Range;

use super::Redaction;
use super::context::{Context, join};
use super::quoting::closing;
use super::text::{Secrets, secrets};
use super::token::is_token;

/// A message with its quoted texts replaced; `None` if it quotes nothing.
pub(super) fn masked(redaction: &Redaction, text: &str, context: &Context<'_>) -> Option<String> {
    let mut parts = match secrets(&redaction.screen, text) {
        Secrets::All => return Some(redaction.mode.token(text.as_bytes()).into_owned()),
        Secrets::Parts(parts) => parts,
        Secrets::None => Vec::new(),
    };
    parts.extend(quotes(text).filter(|at| {
        let quoted = &text[at.clone()];
        let known = context.names.iter().any(|name| name == quoted);
        !known && !quoted.is_empty() && !is_token(quoted.as_bytes())
    }));
    context.patterns(text, &mut parts);
    join(&mut parts);
    if parts.is_empty() { None } else { Some(redaction.replaced(text, &parts)) }
}

fn quotes(text: &str) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + text[at..].find('"')? + 1;
        let end = closing(text.as_bytes(), start, b'"', 0);
        at = (end + 1).min(text.len());
        Some(start..end)
    })
}
