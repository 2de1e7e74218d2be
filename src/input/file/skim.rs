//! Keeps the envelope of a line that is too long to hold in memory: everything except `requestObject` and
//! `responseObject`.
//!
//! Bytes are pushed in as they are read. The result is the event as JSON without its bodies; memory is bounded.

/// The most bytes kept. The envelope of a real event has some kilobytes, since the server limits URI and user agent.
const KEPT: usize = 1 << 20;

/// The state of an over-long line: only its envelope is kept.
#[derive(Debug, Default)]
pub(crate) struct Skim {
    kept: Vec<u8>,
    depth: u32,
    quotes: Quotes,
    /// Where the current member of the event begins in `kept`.
    member: usize,
    /// Inside a body: nothing is kept.
    body: bool,
    /// The key of the current member has ended.
    keyed: bool,
    seen: u64,
}

/// Where the next byte is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Quotes {
    #[default]
    Outside,
    Inside,
    /// Behind a backslash in a string.
    Escaped,
}

impl Skim {
    /// Takes the next bytes of the line.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.seen += bytes.len() as u64;
        for byte in bytes {
            self.step(*byte);
        }
    }

    /// The envelope, closed so that it is valid JSON, and the length of the whole line.
    pub(crate) fn finish(mut self) -> (Vec<u8>, u64) {
        if self.depth > 0 || self.kept.len() >= KEPT {
            // The line was torn, has too large an envelope, or is no event: only complete members are kept.
            self.kept.truncate(self.member);
            if self.kept.last() == Some(&b',') {
                self.kept.pop();
            }
            self.kept.push(b'}');
        }
        (self.kept, self.seen)
    }

    fn step(&mut self, byte: u8) {
        let in_event = self.depth == 1 && self.quotes == Quotes::Outside;
        if in_event && (byte == b',' || byte == b'}') {
            self.end_member(byte);
            return;
        }
        if !self.body && self.kept.len() < KEPT {
            self.kept.push(byte);
        }
        if self.quotes != Quotes::Outside {
            self.quotes = match byte {
                _ if self.quotes == Quotes::Escaped => Quotes::Inside,
                b'\\' => Quotes::Escaped,
                b'"' => Quotes::Outside,
                _ => Quotes::Inside,
            };
            return;
        }
        match byte {
            b'"' => self.quotes = Quotes::Inside,
            b':' if in_event && !self.keyed => {
                self.keyed = true;
                let key = self.kept[self.member..].trim_ascii();
                self.body = key == br#""requestObject":"# || key == br#""responseObject":"#;
            }
            b'{' | b'[' => {
                self.depth += 1;
                if self.depth == 1 {
                    self.member = self.kept.len();
                }
            }
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
    }

    /// Handles a comma or brace of the event itself: the member before it is complete.
    fn end_member(&mut self, byte: u8) {
        if self.body {
            self.kept.truncate(self.member);
        }
        (self.body, self.keyed) = (false, false);
        if self.kept.len() >= KEPT {
            return;
        }
        if byte == b'}' {
            self.depth = 0;
            if self.kept.last() == Some(&b',') {
                self.kept.pop();
            }
            self.kept.push(b'}');
        } else if self.kept.last() != Some(&b',') && self.kept.len() > 1 {
            self.kept.push(b',');
        }
        self.member = self.kept.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn skim(line: &str, step: usize) -> String {
        let mut skim = Skim::default();
        line.as_bytes().chunks(step).for_each(|bytes| skim.push(bytes));
        String::from_utf8(skim.finish().0).unwrap()
    }

    #[test]
    fn the_bodies_go_and_the_rest_stays() {
        let table = [
            (
                r#"{"a":1,"requestObject":{"x":"}\"{"},"responseObject":[1,{"requestObject":2}],"z":"e"}"#,
                r#"{"a":1,"z":"e"}"#,
            ),
            (r#"{"requestObject":1,"a":{"responseObject":3}}"#, r#"{"a":{"responseObject":3}}"#),
            (r#"{"a":1,"responseObject":null}"#, r#"{"a":1}"#),
            (r#"{"requestObject":{}}"#, "{}"),
            (
                r#"{"a":"requestObject:","b":[{"c":"}"}]}"#,
                r#"{"a":"requestObject:","b":[{"c":"}"}]}"#,
            ),
            (r#"{"a":1,"b":"torn"#, r#"{"a":1}"#),
        ];
        for (line, kept) in table {
            for step in [1, 3, 1000] {
                assert_eq!(skim(line, step), kept, "{line} by {step}");
            }
        }
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let line = format!(r#"{{"a":1,"b":"{}","c":2}}"#, "x".repeat(3 * KEPT));
        assert_eq!(skim(&line, 4096), r#"{"a":1}"#);
    }
}
