//! What an error may repeat of the file: words, numbers, paths and addresses, and nothing that a password may look like.
//!
//! A secret can stand anywhere: under a misspelt key, in a URL, in place of a name, in a broken line. So it is not asked
//! where a text stands but what it looks like, and what is shown by mistake is a plain word at most. The line is named in
//! any case.

/// Longest word that is repeated, in bytes.
const WORD: usize = 32;
/// Shorter texts are no secret.
const SHORT: usize = 4;

/// Whether a value may be repeated, as it stands in the file: with its quotes, variables not filled in.
pub(super) fn is_plain(typed: &str) -> bool {
    let bare = typed.trim_matches(['"', '\'']);
    let all = |fits: fn(char) -> bool| bare.chars().all(fits);
    bare.len() <= SHORT && !bare.contains(char::is_control)
        || is_word(bare)
        || is_number(bare)
        || is_variable(bare)
        || is_path(bare)
        || is_pattern(bare)
        // An address without a name: digits, dots and a port.
        || all(|c| c.is_ascii_digit() || ".:[]".contains(c))
        || is_url(bare)
}

/// Whether a key or a name may be repeated.
pub(super) fn is_word(text: &str) -> bool {
    text.len() <= WORD && text.chars().all(|c| c.is_ascii_lowercase() || "_-. ".contains(c))
}

/// A key as a part of the name of what stands under it. Operators choose the keys of some tables.
pub(super) fn shown_key<'k>(table: &str, key: &'k str) -> &'k str {
    const CHOSEN: [&str; 5] = ["inputs", "outputs", "headers", "labels", "query"];
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let chosen = CHOSEN.contains(&table.rsplit('.').next().unwrap_or_default())
        && key.len() <= 63
        && key.chars().all(fits);
    if chosen || is_word(key) { key } else { "***" }
}

/// Whether it is the name of a variable as they are usually written.
pub(super) fn is_variable_name(text: &str) -> bool {
    text.len() <= WORD
        && text.starts_with(|c: char| c.is_ascii_uppercase() || c == '_')
        && text.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
}

/// A number, perhaps with a unit.
fn is_number(text: &str) -> bool {
    let digits = text.trim_start_matches('-');
    let unit = digits.trim_start_matches(|c: char| c.is_ascii_digit() || "._,".contains(c));
    unit.len() < digits.len()
        && unit.trim_start().len() <= SHORT
        && unit.chars().all(|c| c.is_ascii_alphabetic() || c == '%' || c == ' ')
}

fn is_variable(text: &str) -> bool {
    let name = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    name.is_some_and(is_variable_name)
}

/// An operator has to see which file is meant; a secret in the name of a file is no secret.
fn is_path(text: &str) -> bool {
    ["/", "./", "../"].iter().any(|start| text.starts_with(start))
        && !text.starts_with("//")
        && !text.contains(['@', '?', '\\', ':'])
        && !text.contains(char::is_whitespace)
}

/// A pattern for names of files.
fn is_pattern(text: &str) -> bool {
    text.len() <= WORD && text.chars().all(|c| c.is_ascii_lowercase() || "*?[]-_./".contains(c))
}

/// Scheme, host and port alone.
fn is_url(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else { return false };
    let host = rest.strip_suffix('/').unwrap_or(rest);
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ".:-".contains(c);
    scheme.chars().all(|c| c.is_ascii_lowercase()) && host.chars().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_numbers_paths_and_addresses_are_repeated_and_nothing_else() {
        for text in [
            "\"elastic\"",
            "10",
            "-5",
            "1.5GiB",
            "\"10 Mib\"",
            "99999999999999999999h",
            "true",
            "\"current_file\"",
            "\"/var/log/Audit.log\"",
            "\"../x\"",
            "\"127.0.0.1:99999\"",
            "\"[::1]:1\"",
            "\"http://es.example-1.org:9200/\"",
            "\"ftp://h\"",
            "\"${NODE_NAME}\"",
            "\"\"",
            "\"a|b\"",
        ] {
            assert!(is_plain(text), "{text}");
        }
        for text in [
            "\"hunter2\"",
            "\"Tr0ub4dor&3\"",
            "\"u:pw@host\"",
            "\"//u:pw@host\"",
            "\"http:/u:pw@h\"",
            "\"http://u:pw@h\"",
            "\"http://h?k=v\"",
            "\"http://h/TOKEN\"",
            "\"http://H\"",
            "\"CorrectHorse\"",
            "\"correct horse battery staple with more\"",
            "[\"s\", \"x\"]",
            "\"${hunter2}\"",
            "\"${A:-hunter2}\"",
            "\"/u:pw@h\"",
            "\"12345678abcdef\"",
            "\"pa$word\"",
            "'äöüß'",
            "\"a\nb\"",
        ] {
            assert!(!is_plain(text), "{text}");
        }
    }
}
