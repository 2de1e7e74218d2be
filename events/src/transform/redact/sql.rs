//! Finds passwords in SQL statements about users: `IDENTIFIED BY 'x'`, `IDENTIFIED WITH y BY 'x'`,
//! `IDENTIFIED WITH y AS '*hash'`.

use std::ops::Range;

use super::quoting::{closing, opening};

/// The password of the statement whose `IDENTIFIED` is at `at`.
pub(super) fn identified(text: &[u8], at: usize) -> Option<Range<usize>> {
    let near = &text[at..text.len().min(at + 256)];
    let mut words = Words { text: near, at: 0 };
    words.next()?;
    for _ in 0..6 {
        let word = words.next()?;
        let is = |other: &str| near[word.clone()].eq_ignore_ascii_case(other.as_bytes());
        if is("by") || is("as") || is("using") {
            let mut value = words.next()?;
            while ["password", "values", "as"]
                .iter()
                .any(|word| near[value.clone()].eq_ignore_ascii_case(word.as_bytes()))
            {
                value = words.next()?;
            }
            let (backslashes, quote) = opening(&near[value.start..]);
            let Some(quote) = quote else {
                // A sentence may say `identified by` too.
                let before = text[at.saturating_sub(256)..at].to_ascii_lowercase();
                let statement = [&b"user"[..], b"role", b"grant"]
                    .iter()
                    .any(|word| memchr::memmem::find(&before, word).is_some());
                return statement.then(|| at + value.start..at + value.end);
            };
            let start = at + value.start + backslashes + 1;
            return Some(start..closing(text, start, quote, backslashes));
        }
    }
    None
}

struct Words<'t> {
    text: &'t [u8],
    at: usize,
}

impl Iterator for Words<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Self::Item> {
        let blank = |byte: &u8| byte.is_ascii_whitespace() || b"();,=".contains(byte);
        self.at += self.text[self.at..].iter().take_while(|byte| blank(byte)).count();
        let start = self.at;
        self.at += self.text[start..].iter().take_while(|byte| !blank(byte)).count();
        (start < self.at).then_some(start..self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_of_users_are_found() {
        for text in [
            "CREATE USER a IDENTIFIED BY 'hunter2';",
            "alter user a identified by \"hunter2\" account unlock",
            "ALTER USER a IDENTIFIED BY hunter2;",
            "CREATE USER a IDENTIFIED WITH mysql_native_password BY 'hunter2'",
            "GRANT ALL ON *.* TO a IDENTIFIED BY PASSWORD 'hunter2'",
            "CREATE USER a IDENTIFIED WITH 'x' AS 'hunter2'",
        ] {
            let at = text.to_ascii_uppercase().find("IDENTIFIED").unwrap();
            let found = identified(text.as_bytes(), at).map(|at| &text[at]);
            assert_eq!(found, Some("hunter2"), "{text}");
        }
        assert_eq!(identified(b"identified as the cause", 0), None);
        assert_eq!(identified(b"identified the cause", 0), None);
    }
}
