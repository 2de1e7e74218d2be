//! Handles the elements of arrays. A command line is often an array of words, where one element determines the
//! meaning of the next.

use super::custom::Ruling;
use super::flags::Flags;
use super::secret_names::Name;
use super::token::is_token;
use super::values::is_short_measure;
use super::walk::{Walk, scalar_end};
use crate::json::{self, string_end};

impl Walk<'_> {
    /// Handles one element. Returns the end of it, or the place inside it where the walk goes on.
    pub(super) fn element(&mut self, at: usize) -> Option<usize> {
        let at = self.next_element(at);
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
            let numbers = flags.has(Flags::HOT) && flags.has(Flags::NUMBERS);
            if let Some(end) = scalar_end(self.line, at).filter(|_| numbers) {
                // A short number may be a count.
                let written = str::from_utf8(&self.line[at..end]).unwrap_or_default();
                if !is_short_measure(written) {
                    return self.named(at, Name::Header, flags);
                }
            }
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
        if !hit && !frame.command.is_open() && !flags.everything() {
            return Some(end + 1);
        }
        let word = json::unescape(&self.line[inside.clone()]);
        let part =
            frame.command.word(&word).filter(|part| !is_token(&word.as_bytes()[part.clone()]));
        match part {
            Some(part) if part.len() == word.len() || flags.has(Flags::HOT) => {
                self.blank(at..end + 1, false);
            }
            Some(part) => self.blank_parts(inside, &word, std::slice::from_ref(&part)),
            None if flags.has(Flags::HOT) => return self.named(at, Name::Header, flags),
            None => self.text(inside, flags, false),
        }
        Some(end + 1)
    }
}
