//! Splits names into words, in any spelling: `adminPw`, `DB_PW` and `db.pw` each have two words.

use super::lists::lists;

/// Whether a byte can be part of a name.
pub(super) fn in_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_.-".contains(&byte) || byte >= 0x80
}

/// A name in lower case without its separators.
pub(super) fn normal(name: &str) -> String {
    let mut normal = String::with_capacity(name.len());
    let letters = name.chars().filter(|c| !matches!(c, '_' | '.' | '-' | ' '));
    for letter in letters {
        if letter.is_ascii() {
            normal.push(letter.to_ascii_lowercase());
        } else {
            normal.extend(letter.to_lowercase());
        }
    }
    normal
}

/// The words of a name, in lower case: `adminPw`, `DB_PW` and `db.pw` each have two.
pub(super) fn words(name: &str) -> Vec<String> {
    let mut all = vec![String::new()];
    let mut before = ' ';
    let mut letters = name.chars().peekable();
    while let Some(letter) = letters.next() {
        let capital = letter.is_ascii_uppercase();
        let begins = capital
            && (before.is_ascii_lowercase()
                || before.is_ascii_digit()
                || before.is_ascii_uppercase()
                    && letters.peek().is_some_and(char::is_ascii_lowercase));
        if !letter.is_alphanumeric() || begins {
            all.push(String::new());
        }
        if letter.is_alphanumeric()
            && let Some(last) = all.last_mut()
        {
            last.extend(letter.to_lowercase());
        }
        before = letter;
    }
    all.retain(|word| !word.is_empty());
    // Trailing numbers do not count: `PASSWORD_2`, `password2`.
    while all.last().is_some_and(|word| word.bytes().all(|byte| byte.is_ascii_digit())) {
        all.pop();
    }
    all
}

pub(super) fn is_word(name: &str) -> bool {
    has_word(name) || is_pass(name) || lists().whole.contains(&name)
}

/// Whether a text contains any of the words, harmless or not.
pub(super) fn mentions(text: &str) -> bool {
    is_word(&normal(text))
}

/// Whether a name contains any of the words.
pub(super) fn has_word(name: &str) -> bool {
    let other = lists().other.iter().any(|word| name.contains(word));
    if other {
        return lists().word.iter().any(|word| {
            lists()
                .other
                .iter()
                .fold(name.to_owned(), |name, other| name.replace(other, ""))
                .contains(word)
        });
    }
    let name = name.as_bytes();
    // First letters of all the words; this check rejects most places.
    let begins = |byte: u8| {
        byte >= 0x80
            || matches!(
                byte,
                b'p' | b's'
                    | b't'
                    | b'a'
                    | b'c'
                    | b'd'
                    | b'k'
                    | b'b'
                    | b'f'
                    | b'm'
                    | b'h'
                    | b'w'
                    | b'l'
                    | b'j'
                    | b'r'
            )
    };
    (0..name.len()).any(|at| {
        begins(name[at])
            && lists().word.iter().any(|word| {
                let word = word.as_bytes();
                word[0] == name[at] && name[at..].starts_with(word)
            })
    })
}

/// Matches `DB_PASS`, `--pass`, but not `bypass`.
pub(super) fn is_pass(name: &str) -> bool {
    name.ends_with("pass") && !ends(name, &lists().no_pass)
}

pub(super) fn ends(name: &str, with: &[&str]) -> bool {
    let name = name.as_bytes();
    // The last letter differs for nearly all of them.
    with.iter().any(|end| end.as_bytes().last() == name.last() && name.ends_with(end.as_bytes()))
}

/// Whether two names are equal apart from case and separators.
pub(super) fn same(name: &str, other: &str) -> bool {
    normal(name) == normal(other)
}

/// Whether the name ends with one of the words: `db-password`, but not `token-cleaner`.
pub(super) fn ends_with_word(name: &str) -> bool {
    let name = normal(name);
    ends_with(&name) || ends(&name, &lists().end)
}

/// Like [`ends_with_word`], for a name without separators. Words of the list `end` do not count.
pub(super) fn ends_with(name: &str) -> bool {
    ends(name, &lists().word) || is_pass(name) || name.ends_with("pw")
}

/// Whether a name is that of a password; a quoted text after it is one.
pub(super) fn is_password(name: &str) -> bool {
    let name = normal(name);
    lists().password.iter().any(|word| name.ends_with(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_found_by_its_first_letter() {
        assert!(lists().word.iter().all(|word| has_word(&format!("x{word}x"))));
    }
}
