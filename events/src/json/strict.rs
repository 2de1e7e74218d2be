//! Whether a text is JSON for a parser that is strict about structure: every bracket, comma, number and word. The other
//! walks of this room are lenient inside values, since they only skip them.
//!
//! Strings may hold any bytes, also invalid UTF-8, control characters and unknown escapes. So this agrees with the
//! parser of Falco's plugin (fastjson), apart from words such as `NaN`, which fastjson takes and JSON does not know.

use super::grammar::{Grammar, next, same_container, state};
use super::tokens::{BLOCK, ByteKinds, TokenWalk, byte_kinds};

/// Blocks whose bytes are classified at once.
const BLOCKS: usize = 64;

/// Whether `text` is one JSON value, perhaps with blanks around it, in which objects and arrays are nested no deeper
/// than `deepest` (at most 100,000).
pub fn is_strict(text: &[u8], deepest: usize) -> bool {
    let mut walk = StrictWalk::new(deepest);
    let mut kinds = [ByteKinds::default(); BLOCKS];
    for part in text.chunks(BLOCK * BLOCKS) {
        byte_kinds(part, &mut kinds);
        for (block, kinds) in part.chunks(BLOCK).zip(&kinds) {
            if !walk.takes(block, kinds) {
                return false;
            }
        }
    }
    walk.is_complete()
}

/// The grammar knows a text that is one object or array. So the value is taken for the only element of an array.
struct StrictWalk {
    tokens: TokenWalk,
    grammar: Grammar,
    deepest: usize,
}

/// How deep the value itself stands.
const OUTSIDE: usize = 1;

impl StrictWalk {
    fn new(deepest: usize) -> Self {
        let mut grammar = Grammar::default();
        // Only the first level: it is never too deep.
        let _ = grammar.open(false);
        grammar.set_row(state::VALUE);
        Self { tokens: TokenWalk::default(), grammar, deepest }
    }

    fn takes(&mut self, block: &[u8], kinds: &ByteKinds) -> bool {
        let (found, _) = self.tokens.structure(block.len(), kinds);
        let mut tokens = found.tokens;
        while tokens != 0 {
            let bit = tokens.trailing_zeros() as usize;
            tokens &= tokens - 1;
            let Some(&byte) = block.get(bit) else { return false };
            if !self.takes_token(byte, found.paired >> bit & 1 == 1) {
                return false;
            }
        }
        true
    }

    fn takes_token(&mut self, byte: u8, paired: bool) -> bool {
        let (row, depth) = (self.grammar.row(), self.grammar.depth());
        if depth == OUTSIDE && matches!(byte, b',' | b']') {
            return false;
        }
        match next(row, byte, paired) {
            to if to < state::STATES => {
                self.grammar.set_row(same_container(row, to));
                true
            }
            to @ (state::OPEN_OBJECT | state::OPEN_ARRAY) => {
                depth - OUTSIDE < self.deepest
                    && self.grammar.open(to == state::OPEN_OBJECT).is_ok()
            }
            state::CLOSE_OBJECT | state::CLOSE_ARRAY => {
                self.grammar.close();
                true
            }
            _ => false,
        }
    }

    fn is_complete(&self) -> bool {
        // A blank ends a number.
        let row = next(self.grammar.row(), b' ', false);
        self.grammar.depth() == OUTSIDE && !self.tokens.is_in_string() && row == state::AFTER
    }
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
