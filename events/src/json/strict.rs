//! Whether a text is JSON for a parser that is strict about structure: every bracket, comma, number and word. The other
//! walks of this room are lenient inside values, since they only skip them.
//!
//! Strings may hold any bytes, also invalid UTF-8, control characters and unknown escapes. So this agrees with the
//! parser of Falco's plugin (fastjson), apart from words such as `NaN`, which fastjson takes and JSON does not know.

/// The deepest nesting that [`is_strict`] can be asked for.
const MOST: usize = 512;

/// Whether `text` is one JSON value, perhaps with blanks around it, in which objects and arrays are nested no deeper
/// than `deepest` (at most 512).
pub fn is_strict(text: &[u8], deepest: usize) -> bool {
    let mut walk = StrictWalk { text, at: 0, objects: [false; MOST], depth: 0 };
    walk.value(deepest.min(MOST)).is_some()
}

struct StrictWalk<'a> {
    text: &'a [u8],
    at: usize,
    /// For each open container, whether it is an object.
    objects: [bool; MOST],
    depth: usize,
}

impl StrictWalk<'_> {
    fn value(&mut self, deepest: usize) -> Option<()> {
        loop {
            // A value begins here.
            let opened = match self.next()? {
                first @ (b'{' | b'[') => {
                    if self.depth == deepest {
                        return None;
                    }
                    self.objects[self.depth] = first == b'{';
                    self.depth += 1;
                    true
                }
                b'"' => {
                    self.string()?;
                    false
                }
                first => {
                    self.scalar(first)?;
                    false
                }
            };
            if opened {
                let object = self.objects[self.depth - 1];
                if self.peek()? == if object { b'}' } else { b']' } {
                    self.at += 1;
                    self.depth -= 1;
                } else {
                    if object {
                        self.key()?;
                    }
                    continue;
                }
            }
            // A value has ended.
            loop {
                if self.depth == 0 {
                    return self.peek().is_none().then_some(());
                }
                let object = self.objects[self.depth - 1];
                match self.next()? {
                    b',' => {
                        if object {
                            self.key()?;
                        }
                        break;
                    }
                    b'}' if object => self.depth -= 1,
                    b']' if !object => self.depth -= 1,
                    _ => return None,
                }
            }
        }
    }

    /// The next byte that is no blank; moves on to it.
    fn peek(&mut self) -> Option<u8> {
        loop {
            let byte = *self.text.get(self.at)?;
            if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return Some(byte);
            }
            self.at += 1;
        }
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    /// A key and the colon behind it.
    fn key(&mut self) -> Option<()> {
        if self.next()? != b'"' {
            return None;
        }
        self.string()?;
        (self.next()? == b':').then_some(())
    }

    /// The rest of a string, whose first quote was read.
    fn string(&mut self) -> Option<()> {
        loop {
            self.at += memchr::memchr2(b'"', b'\\', self.text.get(self.at..)?)?;
            if self.text[self.at] == b'"' {
                self.at += 1;
                return Some(());
            }
            self.at += 2;
        }
    }

    fn scalar(&mut self, first: u8) -> Option<()> {
        let rest = &self.text[self.at..];
        let word = |word: &[u8]| rest.starts_with(word).then_some(word.len());
        self.at += match first {
            b't' => word(b"rue")?,
            b'f' => word(b"alse")?,
            b'n' => word(b"ull")?,
            b'-' | b'0'..=b'9' => number(first, rest)?,
            _ => return None,
        };
        Some(())
    }
}

/// The length of a number behind its first byte.
fn number(first: u8, rest: &[u8]) -> Option<usize> {
    let digits = |from: usize| rest[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (mut at, mut leading) = (0, first);
    if first == b'-' {
        leading = *rest.first().filter(|byte| byte.is_ascii_digit())?;
        at = 1;
    }
    if leading != b'0' {
        at += digits(at);
    }
    if rest.get(at) == Some(&b'.') {
        let more = digits(at + 1);
        if more == 0 {
            return None;
        }
        at += 1 + more;
    }
    if matches!(rest.get(at), Some(b'e' | b'E')) {
        at += 1 + usize::from(matches!(rest.get(at + 1), Some(b'+' | b'-')));
        let more = digits(at);
        if more == 0 {
            return None;
        }
        at += more;
    }
    Some(at)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::de::IgnoredAny;

    use super::*;

    #[test]
    fn what_only_skipping_takes_for_json_is_told_from_json() {
        for text in [
            "{}",
            " [ ] ",
            r#"{"a":[1,-0.5e+3,true,false,null,"x\"\\"],"b":{"":{}}}"#,
            "0",
            "[1e999999,123456789012345678901234567890]",
            r#""\ud800\q""#,
        ] {
            assert!(is_strict(text.as_bytes(), 9), "{text}");
        }
        assert!(is_strict(b"[\"\xff\x01\"]", 9));
        for text in [
            "",
            "{",
            "[1 2]",
            "[1,]",
            r#"{"a":1,}"#,
            r#"{"a" 1}"#,
            "{a:1}",
            "[01]",
            "[1.]",
            "[-]",
            "[1e]",
            "[tru]",
            "[NaN]",
            "[}",
            "{} {}",
            r#"["a]"#,
            r#"["a\"]"#,
        ] {
            assert!(!is_strict(text.as_bytes(), 9), "{text}");
        }
    }

    #[test]
    fn nesting_is_counted() {
        let nested = |depth: usize| ["[".repeat(depth), "]".repeat(depth)].concat();
        assert!(is_strict(nested(300).as_bytes(), 300) && !is_strict(nested(301).as_bytes(), 300));
        assert!(is_strict(b"[[],{\"a\":[]}]", 3) && !is_strict(b"[[],{\"a\":[]}]", 2));
        assert!(!is_strict(&b"[".repeat(100_000), usize::MAX));
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_strict_parser_on_anything_made_of_json_tokens(
            tokens in prop::collection::vec(prop::sample::select(
                &["{", "}", "[", "]", ",", ":", "\"a\"", "\"\\\"\"", "1", "-2.5e7", "0", ".", "e", "-", "true", "null", " ", "\n"][..],
            ), 0..12),
        ) {
            let text = tokens.concat();
            let expected = serde_json::from_str::<IgnoredAny>(&text).is_ok();
            prop_assert_eq!(is_strict(text.as_bytes(), 64), expected, "{}", text);
        }

        #[test]
        fn no_bytes_cause_a_panic(text in any::<Vec<u8>>(), deepest in 0..600_usize) {
            let _ = is_strict(&text, deepest);
        }
    }
}
