//! Finds the value that XML gives to a name, as in configuration files of Java and .NET: `<password>x</password>`,
//! `<name>password</name><value>x</value>`, `<add key="Password" value="x"/>`.

use std::ops::Range;

use super::name_words::in_name;
use super::quoting::{closing, opening};
use crate::json::blank;

/// Bytes of a tag that are looked at.
const TAG: usize = 256;
const CDATA: &[u8] = b"<![CDATA[";

/// The place of the value of the name at `name`.
pub(super) fn value(text: &[u8], name: &Range<usize>) -> Option<Range<usize>> {
    let at = element(text, name).or_else(|| behind(text, name)).or_else(|| beside(text, name))?;
    let start = blank(text, at.start).min(at.end);
    Some(start..start + text[start..at.end].trim_ascii_end().len())
}

/// Where the tag that the text before a name opens begins, after its `<`; the name may have a prefix.
pub(super) fn tag_of(before: &[u8]) -> Option<usize> {
    let prefix = before.iter().rev().take(TAG);
    let prefix = prefix.take_while(|byte| in_name(**byte) || **byte == b':').count();
    let begin = before.len() - prefix;
    before[..begin].ends_with(b"<").then_some(begin)
}

/// The content of the element of that name, with or without a prefix. It must have a closing tag, because in prose a
/// `<token>` stands alone.
fn element(text: &[u8], name: &Range<usize>) -> Option<Range<usize>> {
    let tag = &text[tag_of(&text[..name.start])?..name.end];
    let start = match text.get(name.end)? {
        b'>' => name.end + 1,
        byte if byte.is_ascii_whitespace() => tag_end(text, name.end)?,
        _ => return None,
    };
    let (at, rest) = content(text, start)?;
    rest.strip_prefix(b"</")?.starts_with(tag).then_some(at)
}

/// The content of the element after the one that holds the name.
fn behind(text: &[u8], name: &Range<usize>) -> Option<Range<usize>> {
    text[..name.start].strip_suffix(b">")?;
    text[name.end..].strip_prefix(b"</")?;
    let value = blank(text, tag_end(text, name.end)?);
    text[value..].strip_prefix(b"<value")?;
    content(text, tag_end(text, value)?).map(|(at, _)| at)
}

/// The attribute after the one that holds the name.
fn beside(text: &[u8], name: &Range<usize>) -> Option<Range<usize>> {
    let (backslashes, quote) = opening(text.get(name.end..)?);
    quote?;
    let end = name.end + backslashes + 1;
    let sign = blank(text, end);
    let Some(value) = text[sign..].strip_prefix(b"value=").filter(|_| sign > end) else {
        // `<property name="password">x</property>`
        let before = text[..name.start].trim_ascii_end();
        let quotes = before.iter().rev().take_while(|byte| b"\"'\\".contains(byte)).count();
        before[..before.len() - quotes]
            .strip_suffix(b"name=")
            .or_else(|| before[..before.len() - quotes].strip_suffix(b"key="))?;
        text[sign..].strip_prefix(b">")?;
        let (at, rest) = content(text, sign + 1)?;
        return rest.starts_with(b"</").then_some(at);
    };
    let (backslashes, quote) = opening(value);
    let start = sign + b"value=".len() + backslashes + 1;
    Some(start..closing(text, start, quote?, backslashes))
}

/// The place after the tag around `from`; `None` for a tag without content.
fn tag_end(text: &[u8], from: usize) -> Option<usize> {
    let near = &text[from..text.len().min(from + TAG)];
    let end = memchr::memchr(b'>', near)?;
    (!near[..end].ends_with(b"/")).then_some(from + end + 1)
}

/// The content that begins at `start`, and the text after it.
fn content(text: &[u8], start: usize) -> Option<(Range<usize>, &[u8])> {
    let from = blank(text, start);
    if let Some(inner) = text[from..].strip_prefix(CDATA) {
        let end = memchr::memmem::find(inner, b"]]>")?;
        let from = from + CDATA.len();
        return Some((from..from + end, inner[end + 3..].trim_ascii_start()));
    }
    let end = start + memchr::memchr(b'<', &text[start..])?;
    Some((start..end, &text[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Option<&str> {
        let start = text.find("password").unwrap();
        let name = start..start + "password".len();
        value(text.as_bytes(), &name).map(|at| &text[at])
    }

    #[test]
    fn values_of_elements_and_attributes_are_found() {
        for text in [
            "<password>x</password>",
            "<a:password type=\"plain\">\n  x\n</a:password>",
            "<password><![CDATA[x]]></password>",
            "<property><name>password</name>\n<value>x</value></property>",
            "<add key=\"password\" value=\"x\" />",
            "<add key=\\\"password\\\" value=\\\"x\\\" />",
            "<Add Key='password'\n value='x'/>",
        ] {
            assert_eq!(found(text), Some("x"), "{text}");
        }
    }

    #[test]
    fn what_only_mentions_a_name_has_no_value() {
        for text in [
            "kubeadm join --token <password> --other <x>",
            "<password/><a>x</a>",
            "a <password> b",
            "<name>password</name> and <b>x</b>",
            "\"password\"value=\"x\"",
            "<password",
            "<password>",
        ] {
            assert_eq!(found(text), None, "{text}");
        }
    }
}
