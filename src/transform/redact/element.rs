//! What an element says of itself and the next: command lines come as arrays of words.

use super::custom::Ruling;
use super::frame::Flags;
use super::program::{Flag, Program};
use super::token::{escape_json, is_token};
use super::walk::Walk;
use super::words::{Name, harmless_value, judge};
use crate::event::text;
use crate::event::walk::string_end;

impl Walk<'_> {
    /// Deals with an element; answers where it ends, or where to go on inside of it.
    pub(super) fn element(&mut self, at: usize) -> Option<usize> {
        let flags = self.flags();
        if flags.has(Flags::EVERY) {
            match self.steps.step(self.context, None) {
                Ruling::Keep => return self.over(at),
                Ruling::Blank => {
                    let end = self.over(at)?;
                    self.blank(at..end, false);
                    return Some(end);
                }
                Ruling::Pattern(_) | Ruling::None => {}
            }
        }
        if self.line.get(at) != Some(&b'"') {
            return self.any(at, flags);
        }
        let end = string_end(self.line, at + 1)?;
        let inside = at + 1..end;
        let hit = self.any_hit(&inside);
        let frame = self.frames.last_mut()?;
        if flags.has(Flags::SECRET) && flags.has(Flags::ROOT) {
            self.blank(at..end + 1, false);
            return Some(end + 1);
        }
        let flagged = std::mem::take(&mut frame.flagged);
        if !hit && !flagged && frame.program.is_none() && !flags.everything() {
            return Some(end + 1);
        }
        let word = text::json(&self.line[inside.clone()]);
        let flag =
            frame.program.and_then(|program| program.flag(&word)).filter(|flag| match flag {
                Flag::Rest(from) => !is_token(&word.as_bytes()[*from..]),
                Flag::Next => true,
            });
        frame.program = frame.program.or_else(|| Program::named(&word));
        frame.flagged = flag == Some(Flag::Next) || takes_secret(&word);
        if flagged && !word.starts_with('-') && !harmless_value(&word) {
            self.blank(at..end + 1, false);
        } else if let Some(Flag::Rest(from)) = flag {
            let part = from..word.len();
            let masked = self.redaction.replaced(&word, std::slice::from_ref(&part));
            let mut out = Vec::new();
            escape_json(&masked, &mut out);
            self.edits.replace(inside, &out);
        } else if flags.has(Flags::HOT) {
            return self.secret(at, flags);
        } else {
            self.text(inside, flags, false);
        }
        Some(end + 1)
    }
}

/// Whether the word of a command line is a flag whose secret is the next word.
pub(super) fn takes_secret(word: &str) -> bool {
    word.starts_with('-')
        && !word.contains(['=', ' ', ':'])
        && matches!(judge(word), Name::Suspicious | Name::Header)
}
