//! Finds long runs of base64 that look random: keys, tokens, certificates, archives. Names and paths are told apart
//! from them.

use std::ops::Range;

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::stretches::RUN;
use super::vector_search::{Found, look};

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);

/// Decodes base64 with either alphabet, with or without padding and line breaks.
pub(super) fn decoded(text: &[u8]) -> Option<Vec<u8>> {
    let plain: Vec<u8> = text.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    GeneralPurpose::new(&STANDARD, LENIENT)
        .decode(&plain)
        .or_else(|_| GeneralPurpose::new(&URL_SAFE, LENIENT).decode(&plain))
        .ok()
}

/// The class of a byte in a run.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Class {
    Outside,
    Upper,
    Lower,
    Digit,
    Sign,
}

static CLASSES: [Class; 256] = {
    let mut classes = [Class::Outside; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        classes[byte as usize] = match byte {
            b'A'..=b'Z' => Class::Upper,
            b'a'..=b'z' => Class::Lower,
            b'0'..=b'9' => Class::Digit,
            // JSON may escape a slash with a backslash.
            b'+' | b'/' | b'-' | b'_' | b'\\' => Class::Sign,
            _ => Class::Outside,
        };
        byte += 1;
    }
    classes
};

pub(super) fn inside(byte: u8) -> bool {
    CLASSES[byte as usize] != Class::Outside
}

/// Whether a run may be a secret: it looks random and is not a `continue` token of a list.
pub(super) fn is_secret(run: &[u8]) -> bool {
    looks_random(run) && !is_continue(run)
}

/// Calls `each` with the runs that look random, in order.
pub(super) fn runs(text: &[u8], mut each: impl FnMut(Range<usize>)) {
    look(text, |found| match found {
        Found::Run(run) if looks_random(&text[run.clone()]) => each(run),
        _ => {}
    });
}

/// Whether a run has two capital letters.
fn capitals(run: &[u8]) -> bool {
    let count =
        |part: &[u8]| part.iter().map(|byte| u8::from(byte.is_ascii_uppercase())).sum::<u8>();
    let (parts, rest) = run.as_chunks::<16>();
    let mut all = count(rest);
    parts.iter().any(|part| {
        all = all.saturating_add(count(part));
        all > 1
    }) || all > 1
}

/// Whether a run has digits and neighbouring capital letters enough for [`changes_often`] to hold anywhere in it. Names
/// in camel case have not.
fn is_varied(run: &[u8]) -> bool {
    let count = |is: fn(u8) -> bool| run.iter().map(|byte| u32::from(is(*byte))).sum::<u32>();
    let capital = |byte: u8| byte.is_ascii_uppercase();
    let pairs = run.iter().zip(run.iter().skip(1));
    let pairs = pairs.map(|(one, next)| u32::from(capital(*one) & capital(*next))).sum::<u32>();
    // A sign between two capital letters does not part them.
    let pairs = pairs + count(|byte| CLASSES[byte as usize] == Class::Sign);
    let digits = count(|byte| byte.is_ascii_digit());
    digits > 2 || pairs > 2 || digits > 0 && pairs > 1
}

/// Whether some part of a run looks random. A path may precede that part, and letters of escapes may interrupt it.
fn looks_random(run: &[u8]) -> bool {
    if !capitals(run) {
        // Most runs without capitals are identifiers.
        return false;
    }
    // Random text from its beginning on.
    let begins = || run.first_chunk::<RUN>().is_some_and(|first| changes_often(first));
    if !run.contains(&b'\\') {
        return begins()
            || (run.len() >= 4 * RUN || is_varied(run))
                && run.windows(RUN).step_by(8).skip(1).any(changes_often);
    }
    if run.len() < 4 * RUN && !is_varied(run) {
        return false;
    }
    // All of it is ASCII. `&`, which the API server escapes, is not part of a run.
    str::from_utf8(run).is_ok_and(|run| {
        let random = |part: &str| part.as_bytes().windows(RUN).any(changes_often);
        run.contains(r"\/") || run.split(r"\u0026").any(random)
    })
}

/// Whether case and digits change often: from byte to byte in random text, from word to word in names and paths. The
/// text is short ([`RUN`]). The loop does not branch, since in random text no branch can be predicted.
fn changes_often(run: &[u8]) -> bool {
    let (mut upper, mut lower, mut digit, mut changes, mut pairs) =
        (0_u32, 0_u32, 0_u32, 0_u32, 0_u32);
    let mut last = Class::Outside;
    for byte in run {
        let class = CLASSES[*byte as usize];
        let is = |other: Class| u32::from(class == other);
        let counts = is(Class::Upper) | is(Class::Lower) | is(Class::Digit);
        upper += is(Class::Upper);
        lower += is(Class::Lower);
        digit += is(Class::Digit);
        pairs += is(Class::Upper) & u32::from(last == Class::Upper);
        changes += counts & u32::from(class != last);
        last = if counts == 1 { class } else { last };
    }
    let mixed = upper > 1 && lower > 1 && changes * 10 >= (upper + lower + digit) * 3;
    // A name in camel case has one capital letter per word and rarely ends with digits.
    mixed && (digit > 2 || pairs > 2 || digit > 0 && pairs > 1)
}

/// The range of a run and of the lines that continue it; base64 is often wrapped.
pub(super) fn with_lines(text: &[u8], run: Range<usize>) -> Range<usize> {
    let padding = |at: usize| at + text[at..].iter().take_while(|byte| **byte == b'=').count();
    let mut end = padding(run.end);
    loop {
        let rest = &text[end..];
        let blank = rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let line = &rest[blank..];
        let length = line.iter().take_while(|byte| inside(**byte)).count();
        let next = padding(end + blank + length);
        let ends = text.get(next).is_none_or(|byte| b"\r\n\"'".contains(byte));
        if !rest[..blank].contains(&b'\n') || length == 0 || !ends {
            return run.start..end;
        }
        end = next;
    }
}

/// The beginning of every `continue` token, in base64. The API server and its clients write one for every long list.
const CONTINUE: &[u8] = b"eyJ2IjoibWV0YS5rOHMuaW8v";

/// Whether a run of base64, from its first byte on, is the API server's `continue` token of a list.
pub(super) fn is_continue(run: &[u8]) -> bool {
    run.starts_with(CONTINUE)
}

/// Whether a run is public: a certificate (possibly encoded in base64 twice), or a `continue` token.
pub(super) fn is_public(run: &[u8]) -> bool {
    // `-----BEGIN CERT` in base64.
    is_continue(run)
        || run.starts_with(b"LS0tLS1CRUdJTiBDRVJU")
            && decoded(run).is_some_and(|pem| memchr::memmem::find(&pem, b"PRIVATE").is_none())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(text: &str) -> Vec<&str> {
        let mut all = Vec::new();
        runs(text.as_bytes(), |at| all.push(&text[at]));
        all
    }

    #[test]
    fn keys_and_archives_are_found() {
        for secret in [
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            "H4sIAAAAAAAAA6tWSkksSVSyUqhWKkktLlGyUqiFAF3MvdURAAAA",
            "cGFzc3dvcmQ9aHVudGVyMiBhbmQgc29tZSBtb3Jl",
            "dGhpcyBpcyBhIGxvbmcgc2VudGVuY2Ugd2l0aG91dCBkaWdpdHM",
        ] {
            assert_eq!(found(secret), [secret]);
            assert_eq!(found(&format!("x=\"{secret}\"")), [secret]);
        }
    }

    /// A reference implementation that looks at one byte after the other.
    fn slowly(text: &[u8]) -> Vec<Range<usize>> {
        let mut all = Vec::new();
        let mut start = 0;
        for at in 0..=text.len() {
            if !text.get(at).is_some_and(|byte| inside(*byte)) {
                if at - start >= RUN && looks_random(&text[start..at]) {
                    all.push(start..at);
                }
                start = at + 1;
            }
        }
        all
    }

    proptest! {
        #[test]
        fn strides_agree_with_single_bytes(
            parts in prop::collection::vec(("[a-zA-Z0-9+/]{0,70}", prop::sample::select(&b"\" .:\xff+"[..])), 0..8),
        ) {
            let text: Vec<u8> =
                parts.into_iter().flat_map(|(run, gap)| [run.into_bytes(), vec![gap]].concat()).collect();
            for from in 0..text.len().min(9) {
                let mut all = Vec::new();
                runs(&text[from..], |at| all.push(at));
                prop_assert_eq!(all, slowly(&text[from..]));
            }
        }
    }

    #[test]
    fn a_key_beside_an_escaped_sign_is_found() {
        let text = r"a=b\u0026sig=wJalrXUtnFEMI7K7MDENGbPxRfiCYEXAMPLEKEY\u0026c=d";
        assert_eq!(found(text), [r"wJalrXUtnFEMI7K7MDENGbPxRfiCYEXAMPLEKEY\u0026c"]);
    }

    #[test]
    fn names_paths_and_digests_are_no_secrets() {
        for text in [
            "requiredDuringSchedulingIgnoredDuringExecution",
            "InPlacePodVerticalScalingAllocatedStatus",
            "968d8a3d-a9a8-4901-8522-dfeeb5a9bda4",
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "/var/lib/kubelet/pods/968d8a3d-a9a8-4901-8522-dfeeb5a9bda4/volumes",
            "/Users/somebody/Library/Application/Support/Thing",
            "aReallyLongCamelCaseNameThatGoesOnAndOnVersion2",
            "MY_VERY_LONG_ENVIRONMENT_VARIABLE_NAME_2",
            r"resourceVersionMatch=NotOlderThan\u0026sendInitialEvents=true",
        ] {
            assert_eq!(found(text), [""; 0], "{text}");
        }
    }

    #[test]
    fn wrapped_lines_belong_together() {
        let text = b"key: wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEYabcd\n  QUJD\n  REVG==\nend: x";
        let at = with_lines(text, 5..47);
        assert!(text[at].ends_with(b"REVG=="));
    }
}
