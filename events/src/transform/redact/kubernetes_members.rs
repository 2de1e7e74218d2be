//! Handles members for which Kubernetes defines a form: managed fields, a user's `extra`, messages, columns of a
//! Table.

use std::ops::Range;

use super::flags::Flags;
use super::member::name;
use super::patterns::What;
use super::secret_names::judge;
use super::walk::{Walk, quoted};
use crate::json::{self, elements, escape_like_server, members, value};

impl Walk<'_> {
    /// Handles managed fields. They hold names of fields and no values; anything else was not written by the API
    /// server.
    pub(super) fn managed_fields(&mut self, start: usize, at: usize) -> Option<usize> {
        let end = self.over(at)?;
        let mut sets = None;
        let bad = self.hits.within(&(at..end)).iter().any(|hit| {
            let from = hit.at as usize;
            match hit.what {
                What::Word | What::Key | What::Program | What::Quoted => {
                    let rest = &self.line[from..end];
                    let close = rest.iter().position(|byte| *byte == b'"').unwrap_or(0);
                    let behind = rest[close..].get(1..3);
                    let set = || memchr::memmem::find(&self.line[at..end], b"\"v:").is_some();
                    behind.is_some_and(|next| next[0] == b':' && next[1] != b'{')
                        || *sets.get_or_insert_with(set)
                }
                _ => true,
            }
        });
        if bad { self.blank_member(start, at, false) } else { Some(end) }
    }

    /// Handles a user's `extra`: keys that are not on the list of allowed keys are redacted.
    pub(super) fn extra(&mut self, at: usize) -> Option<usize> {
        if self.line.get(at) != Some(&b'{') {
            let end = self.over(at)?;
            self.blank(at..end, false);
            return Some(end);
        }
        let line = self.line;
        let mut values = Vec::new();
        let end = crate::json::members(line, at, |key, value| {
            values.push((json::unescape(key).into_owned(), value));
        })?;
        for (key, value) in values {
            let range = value.at.range();
            if value.string {
                self.extra_value(&key, &range);
            } else if line[range.start] == b'[' {
                self.extra_values(&key, range);
            } else if value.depth > 0 {
                self.blank(range, false);
            }
        }
        Some(end)
    }

    fn extra_value(&mut self, key: &str, inside: &Range<usize>) {
        if !self.redaction.extra_stays(key, &json::unescape(&self.line[inside.clone()])) {
            self.blank(quoted(inside), false);
        }
    }

    /// Redacts elements of an array of strings, or all of it if it holds anything else.
    fn extra_values(&mut self, key: &str, at: Range<usize>) {
        let mut strings = Vec::new();
        let mut other = false;
        let read = crate::json::elements(&self.line[..at.end], at.start, |value| {
            other |= value.depth > 0;
            if value.string {
                strings.push(value.at.range());
            }
        });
        if other || read.is_none() {
            return self.blank(at, false);
        }
        for inside in strings {
            self.extra_value(key, &inside);
        }
    }

    /// Handles a message about something secret.
    pub(super) fn message(&mut self, at: usize) -> Option<usize> {
        let (_, end) = value(self.line, at)?;
        let text = json::unescape(&self.line[at + 1..end - 1]);
        let masked = super::message::masked(self.redaction, &text, self.context);
        if let Some(masked) = masked {
            let mut out = Vec::new();
            escape_like_server(&masked, &mut out);
            self.edits.replace(at + 1..end - 1, &out);
        }
        Some(end)
    }

    /// Remembers which columns of a Table have suspicious names; a custom resource can define any columns.
    pub(super) fn columns(&mut self, at: usize, flags: Flags) -> Option<usize> {
        let line = self.line;
        let mut index = 0;
        elements(line, at, |column| {
            let mut suspicious = false;
            members(line, column.at.range().start, |key, value| {
                suspicious |= value.string
                    && name(key) == "name"
                    && judge(&json::unescape(&line[value.at.range()])).is_hot();
            });
            if suspicious {
                self.columns.push(index);
            }
            index += 1;
        });
        self.any(at, flags)
    }

    /// Redacts the strings of a row in the suspicious columns.
    pub(super) fn cells(&mut self, at: usize) -> Option<usize> {
        let line = self.line;
        let mut cells = Vec::new();
        let end = elements(line, at, |cell| cells.push(cell))?;
        for (index, cell) in cells.into_iter().enumerate() {
            let inside = cell.at.range();
            if !cell.string {
                // The API server writes no objects here.
                if cell.depth > 0 && self.any_hit(&inside) {
                    self.blank(inside, false);
                }
                continue;
            }
            if self.columns.contains(&index) {
                self.blank(quoted(&inside), false);
            } else {
                self.text(inside, Flags::NONE, false);
            }
        }
        Some(end)
    }
}
