//! Collects the edits of one line, then applies them in one pass. Bytes outside the edits stay as they were.

use std::ops::Range;

use crate::event::Span;

/// Places in one line and their replacements. Reused from event to event, so that most events need no allocation.
#[derive(Debug, Default)]
pub struct Edits {
    all: Vec<Edit>,
    /// The replacements, one after the other.
    text: Vec<u8>,
    /// The places replaced by the last [`Edits::apply`], in order, each with the length of its replacement.
    applied: Vec<(Range<usize>, usize)>,
    /// A place in `applied` is not exact, so [`Edits::moved`] cannot answer.
    vague: bool,
}

#[derive(Clone, Debug)]
struct Edit {
    at: Range<usize>,
    /// The replacement, as a range in `text`.
    with: Range<usize>,
    /// A member of an object, with its key: its comma is removed too.
    member: bool,
}

impl Edits {
    pub fn clear(&mut self) {
        self.all.clear();
        self.text.clear();
    }

    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Number of edits, including those that [`Edits::apply`] will ignore.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// The edits from index `first` on: each place with its replacement.
    pub fn since(&self, first: usize) -> impl Iterator<Item = (Range<usize>, &[u8])> {
        let all = self.all.get(first..).unwrap_or_default();
        all.iter().map(|edit| (edit.at.clone(), &self.text[edit.with.clone()]))
    }

    /// The members to be removed, in the order of the line.
    pub fn removed(&self) -> Vec<Range<usize>> {
        let removed = self.all.iter().filter(|edit| edit.member);
        let mut removed: Vec<_> = removed.map(|edit| edit.at.clone()).collect();
        removed.sort_unstable_by_key(|at| at.start);
        removed
    }

    /// Replaces a range of the line by `with`.
    pub fn replace(&mut self, at: Range<usize>, with: &[u8]) {
        let start = self.text.len();
        self.text.extend_from_slice(with);
        self.all.push(Edit { at, with: start..self.text.len(), member: false });
    }

    /// Removes a member of an object, from the quote before its key to the end of its value.
    pub fn remove_member(&mut self, at: Range<usize>) {
        self.all.push(Edit { at, with: 0..0, member: true });
    }

    /// Appends the changed line to `out`. Edits may be added in any order. An edit inside another one is ignored; of
    /// two edits at the same place the later one is ignored.
    pub fn apply(&mut self, line: &[u8], out: &mut Vec<u8>) {
        // The sort is stable, so edits at one place keep their order.
        self.all.sort_by_key(|edit| (edit.at.start, std::cmp::Reverse(edit.at.end)));
        self.applied.clear();
        self.vague = false;
        let begin = out.len();
        let mut done = 0;
        for edit in &self.all {
            if edit.at.start < done || edit.at.end > line.len() {
                continue;
            }
            out.extend_from_slice(&line[done..edit.at.start]);
            out.extend_from_slice(&self.text[edit.with.clone()]);
            let before = done;
            done = edit.at.end;
            let mut start = edit.at.start;
            if edit.member {
                let length = out.len();
                done = without_comma(line, done, begin, out);
                start = start.saturating_sub(length - out.len());
                self.vague |= start < before;
            }
            self.applied.push((start..done, edit.with.len()));
        }
        out.extend_from_slice(&line[done..]);
    }

    /// The new place of a range of the line. Edits inside the range are part of it; `None` if the range is gone or
    /// only partly there.
    pub fn moved(&self, span: Span) -> Option<Span> {
        if self.vague {
            return None;
        }
        let (mut start, mut end) = (span.start as usize, span.end as usize);
        for (old, new) in self.applied.iter().rev() {
            if old.start >= span.end as usize {
                continue;
            }
            let within = old.start >= span.start as usize && old.end <= span.end as usize;
            if !within && old.end > span.start as usize {
                return None;
            }
            // Goes backwards, so that the subtraction cannot underflow.
            end = end + new - old.len();
            if old.end <= span.start as usize {
                start = start + new - old.len();
            }
        }
        Some(Span::new(start, end))
    }
}

/// Skips the comma after a removed member, or removes the one before it if the member was the last.
fn without_comma(line: &[u8], done: usize, begin: usize, out: &mut Vec<u8>) -> usize {
    let blank = line[done..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    if line.get(done + blank) == Some(&b',') {
        return done + blank + 1;
    }
    let kept = out.trim_ascii_end().len();
    if kept > begin && out[kept - 1] == b',' {
        out.truncate(kept - 1);
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Removes the members with these one-letter keys, whose values are one digit.
    fn without(line: &str, keys: &[char]) -> String {
        let mut edits = Edits::default();
        for key in keys {
            let at = line.find(&format!("\"{key}\"")).unwrap();
            edits.remove_member(at..at + 5);
        }
        let mut out = b",".to_vec();
        edits.apply(line.as_bytes(), &mut out);
        String::from_utf8(out).unwrap()[1..].to_owned()
    }

    #[test]
    fn whichever_members_go_the_commas_are_right() {
        let line = r#"{"a":1,"b":2,"c":3}"#;
        assert_eq!(without(line, &['a']), r#"{"b":2,"c":3}"#);
        assert_eq!(without(line, &['c', 'b']), r#"{"a":1}"#);
        assert_eq!(without(line, &['a', 'b']), r#"{"c":3}"#);
        assert_eq!(without(line, &['a', 'c']), r#"{"b":2}"#);
        assert_eq!(without(line, &['a', 'b', 'c']), "{}");
        assert_eq!(without(r#"{ "a":1 , "b":2 }"#, &['b']), r#"{ "a":1  }"#);
    }

    #[test]
    fn what_is_not_touched_is_found_where_it_stands_now() {
        let line = br#"{"a":1,"b":"bb","c":{"d":"dd","e":5},"f":"ff"}"#;
        let at = |text: &str| {
            let start = memchr::memmem::find(line, text.as_bytes()).unwrap();
            start..start + text.len()
        };
        let span = |range: Range<usize>| Span::new(range.start, range.end);
        let mut edits = Edits::default();
        edits.remove_member(at(r#""a":1"#));
        edits.replace(at("dd"), b"longer");
        edits.remove_member(at(r#""e":5"#));
        let mut out = Vec::new();
        edits.apply(line, &mut out);
        assert_eq!(out, br#"{"b":"bb","c":{"d":"longer"},"f":"ff"}"#);
        let now = |text: &str| {
            edits
                .moved(span(at(text)))
                .map(|span| String::from_utf8_lossy(&out[span.range()]).into_owned())
        };
        assert_eq!(now("bb").as_deref(), Some("bb"));
        assert_eq!(now("ff").as_deref(), Some("ff"));
        assert_eq!(now("dd").as_deref(), Some("longer"));
        assert_eq!(now(r#"{"d":"dd","e":5}"#).as_deref(), Some(r#"{"d":"longer"}"#));
        // Removed, whole or in part.
        assert_eq!(now("5"), None);
        assert_eq!(now(r#""a":1"#), None);
    }

    #[test]
    fn an_edit_inside_another_does_not_count() {
        let mut edits = Edits::default();
        edits.replace(4..5, b"inner");
        edits.replace(2..6, b"outer");
        edits.replace(2..6, b"later");
        edits.replace(8..8, b"!");
        let mut out = Vec::new();
        edits.apply(b"01234567", &mut out);
        assert_eq!(out, b"01outer67!");
    }
}
