//! Which parts of the file an error may repeat: plain words, numbers, paths and addresses, but nothing that may be a
//! password.
//!
//! A secret can be anywhere: under a misspelt key, in a URL, in place of a name, in a broken line. So the decision
//! depends on how a text looks and not on where it is; the worst that is shown by mistake is a plain word. The error
//! names the line in any case.

/// Longest word that an error repeats, in bytes.
const WORD: usize = 32;
/// Texts up to this length, in bytes, are no secret.
const SHORT: usize = 4;

/// Whether an error may repeat a value. It is given as it stands in the file: with its quotes, variables not
/// substituted.
pub(super) fn is_plain(typed: &str) -> bool {
    let bare = typed.trim_matches(['"', '\'']);
    let all = |fits: fn(char) -> bool| bare.chars().all(fits);
    bare.len() <= SHORT && !bare.contains(char::is_control)
        || is_word(bare)
        || is_number(bare)
        || is_variable(bare)
        || is_path(bare)
        || is_pattern(bare)
        // An IP address: digits, dots and a port.
        || all(|c| c.is_ascii_digit() || ".:[]".contains(c))
        || is_url(bare)
}

/// Whether an error may repeat a key or a name.
pub(super) fn is_word(text: &str) -> bool {
    text.len() <= WORD && text.chars().all(|c| c.is_ascii_lowercase() || "_-. ".contains(c))
}

/// How errors show a key as a part of a dotted name. In some tables the operator chooses the keys.
pub(super) fn shown_key<'k>(table: &str, key: &'k str) -> &'k str {
    const CHOSEN: [&str; 5] = ["inputs", "outputs", "headers", "labels", "query"];
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let chosen = CHOSEN.contains(&table.rsplit('.').next().unwrap_or_default())
        && key.len() <= 63
        && key.chars().all(fits);
    if chosen || is_word(key) { key } else { "***" }
}

/// Whether it looks like the name of an environment variable.
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

/// A path is shown: the operator has to see which file is meant, and the path of a secret's file is no secret.
fn is_path(text: &str) -> bool {
    ["/", "./", "../"].iter().any(|start| text.starts_with(start))
        && !text.starts_with("//")
        && !text.contains(['@', '?', '\\', ':'])
        && !text.contains(char::is_whitespace)
}

/// A pattern of file names.
fn is_pattern(text: &str) -> bool {
    text.len() <= WORD && text.chars().all(|c| c.is_ascii_lowercase() || "*?[]-_./".contains(c))
}

/// A URL of scheme, host and port only.
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
