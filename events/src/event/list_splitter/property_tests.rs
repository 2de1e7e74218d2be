use std::fmt::Write as _;
use std::io::Read as _;

use proptest::prelude::*;

use super::item::DECIDED_AFTER;
use super::reference_tests::{compare, fast, slowly};
use super::*;
use crate::json::DEEPEST;

const FRONT: &str = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","#;
const LIST: &str = r#"{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":["#;

/// The recorded logs that ship with the project.
fn recorded() -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../etc/recorded/audit");
    let mut log = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("gz") => {
                flate2::read::MultiGzDecoder::new(bytes.as_slice()).read_to_end(&mut log).unwrap();
            }
            Some("log") => log.extend_from_slice(&bytes),
            _ => {}
        }
    }
    log
}

/// JSON over several lines.
fn indented(text: &[u8]) -> Vec<u8> {
    let (mut out, mut depth, mut string, mut escaped) = (Vec::new(), 0, false, false);
    let line = |out: &mut Vec<u8>, depth: usize| {
        out.push(b'\n');
        out.resize(out.len() + 2 * depth, b' ');
    };
    for &byte in text {
        if string {
            string = byte != b'"' || escaped;
            escaped = byte == b'\\' && !escaped;
            out.push(byte);
            continue;
        }
        match byte {
            b'{' | b'[' => {
                depth += 1;
                out.push(byte);
                line(&mut out, depth);
            }
            b'}' | b']' => {
                depth -= 1;
                line(&mut out, depth);
                out.push(byte);
            }
            b',' => {
                out.push(byte);
                line(&mut out, depth);
            }
            b':' => out.extend_from_slice(b": "),
            _ => {
                string = byte == b'"';
                out.push(byte);
            }
        }
    }
    out
}

#[test]
fn the_recorded_logs_come_out_as_they_were_written_however_they_are_posted() {
    let log = recorded();
    let lines: Vec<_> = log.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    assert!(lines.len() > 4000);
    let items: Vec<_> = lines.iter().map(|line| [b"{", &line[FRONT.len()..]].concat()).collect();
    let list = [LIST.as_bytes(), &items.join(&b","[..]), b"]}"].concat();
    let array = [b"[", lines.join(&b","[..]).as_slice(), b"]"].concat();
    for body in [&list, &array, &indented(&list), &indented(&array)] {
        for length in [1 << 16, 4099, 100, 17] {
            let split = fast(body, |index| 1 + index % 7 * length / 5);
            assert!(split.lines == log);
            assert_eq!((split.events, split.fault), (lines.len() as u64, None));
        }
    }
    for line in &lines {
        let split = fast(line, |_| 333);
        assert_eq!((split.lines, split.fault), ([line, &b"\n"[..]].concat(), None));
    }
}

#[test]
fn what_hostile_clients_sent_comes_out_as_the_api_servers_log_backend_writes_it() {
    let body = include_bytes!("../../../../tests/data/webhook/hostile.json");
    let log = include_bytes!("../../../../tests/data/webhook/hostile.ndjson");
    for length in [1, 61, 1000, body.len()] {
        let split = fast(body, |_| length);
        assert!(split.lines == log);
        assert_eq!((split.events, split.fault), (16, None));
    }
    let indented = fast(&indented(body), |_| 333);
    assert!(indented.lines == log);
    assert_eq!(indented.fault, None);
}

#[test]
fn a_hundred_thousand_levels_are_taken_and_one_more_is_not() {
    let deep = |levels: usize| {
        let inner = levels - 3;
        format!(r#"{{"items":[{{"a":{}{}}},{{"b":1}}]}}"#, "[".repeat(inner), "]".repeat(inner))
    };
    let split = fast(deep(DEEPEST).as_bytes(), |_| 1000);
    assert_eq!((split.events, split.fault), (2, None));
    let split = fast(deep(DEEPEST + 1).as_bytes(), |_| 1000);
    assert_eq!((split.events, split.fault), (0, Some(15 + DEEPEST as u64 - 3)));
    let mixed = "[{\"a\":".repeat(40_000) + "7" + &"}]".repeat(40_000);
    let split = fast(mixed.as_bytes(), |_| 1000);
    assert_eq!((split.lines.len(), split.fault), (FRONT.len() + mixed.len() - 2, None));
}

#[test]
fn a_long_item_is_not_held_and_blanks_cost_nothing() {
    const MIB: usize = 1 << 20;
    let (mut splitter, mut lines) = (ListSplitter::default(), Vec::new());
    splitter.push(br#"{"items":[{"a":""#, &mut lines);
    for _ in 0..2 * DECIDED_AFTER {
        splitter.push(b"xxxxxxxx", &mut lines);
    }
    assert!(lines.len() as u64 > 15 * DECIDED_AFTER, "{}", lines.len());
    splitter.push(br#"","kind":"Late"}"#, &mut lines);
    lines.clear();
    let blanks = vec![b' '; MIB];
    for _ in 0..64 {
        splitter.push(&blanks, &mut lines);
    }
    assert_eq!(lines, b"");
    splitter.push(b"]}", &mut lines);
    assert_eq!(splitter.finish(&mut lines), SplitBody { events: 1, unreadable: None });
    assert_eq!(lines, b"");
}

#[test]
fn members_after_the_first_64_kibibytes_do_not_count() {
    let limit = usize::try_from(DECIDED_AFTER).unwrap();
    for shift in -12_isize..12 {
        for (before, behind) in [
            (r#"{"items":[{"#, r#""kind":"Event","a":1}]}"#),
            (r#"{"items":[{"kind":"Event","#, r#""apiVersion":"v"}]}"#),
            ("{", r#""items":[{"a":1}]}"#),
            ("{", r#""kind":"EventList","items":[{"a":1}]}"#),
            ("[{", "}]"),
        ] {
            let blanks = limit.saturating_add_signed(shift) - before.len();
            let body = format!("{before}{}{behind}", " ".repeat(blanks));
            let slow = slowly(body.as_bytes());
            assert_eq!(fast(body.as_bytes(), |_| limit * 2), slow, "{shift} {before}");
            if shift % 4 == 0 {
                assert_eq!(fast(body.as_bytes(), |index| 1 + index * 997 % 65_536), slow);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_tokens_are_split_as_the_slow_splitter_does(
        parts in prop::collection::vec(prop::sample::select(PARTS), 0..40),
        cut in any::<[u8; 2]>(),
    ) {
        compare(&[&cut, parts.concat().as_bytes()].concat());
    }

    #[test]
    fn any_body_is_split_as_the_slow_splitter_does_even_if_a_byte_is_wrong(
        body in body(),
        cut in any::<[u8; 2]>(),
        damage in prop::option::of((any::<prop::sample::Index>(), any::<u8>(), 0..3)),
    ) {
        let mut body = body.into_bytes();
        if let Some((at, byte, kind)) = damage {
            let at = at.index(body.len());
            match kind {
                0 => body.truncate(at),
                1 => body[at] = byte,
                _ => drop(body.remove(at)),
            }
        }
        compare(&[&cut, body.as_slice()].concat());
    }
}

const PARTS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    " ",
    "\n",
    "\"kind\"",
    "\"apiVersion\":",
    "\"items\"",
    "\"EventList\"",
    "\"Event\",",
    "null",
    "true",
    "false",
    "1",
    "-",
    ".5",
    "e+7",
    "0",
    "\\",
    "\\u006",
    "b",
    "\"k\\u0069nd\":",
    "\"items\":[",
    "{\"kind\":\"EventList\",\"items\":[",
    "{\"a\":1}",
    "[{",
    "\u{e9}",
];

/// Blanks between tokens.
fn blanks() -> impl Strategy<Value = &'static str> {
    prop::sample::select(
        &["", "", "", " ", "\n", "\r\n\t", "                                   "][..],
    )
}

fn string() -> impl Strategy<Value = String> {
    let text =
        prop_oneof!["[a-z ,:{}\\[\\]#é]{0,80}", r#"(\\["\\/bfnrtu]|\\u[0-9a-fA-F]{4}|x){0,20}"#];
    text.prop_map(|text| format!("\"{}\"", text.replace("\\u\\", "\\").replace("\\u\"", "\"")))
}

fn scalar() -> impl Strategy<Value = String> {
    prop_oneof![
        string(),
        prop::sample::select(
            &[
                "null",
                "true",
                "false",
                "\"EventList\"",
                "\"Event\"",
                "\"audit.k8s.io/v1beta1\"",
                "\"\""
            ][..]
        )
        .prop_map(str::to_owned),
        "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,3})?([eE][+-]?[0-9]{1,3})?",
    ]
}

fn key() -> impl Strategy<Value = String> {
    const NAMES: &[&str] = &["kind", "apiVersion", "items", "i\\u0074ems", "metadata", "a"];
    prop_oneof![
        5 => prop::sample::select(NAMES).prop_map(|name| format!("\"{name}\"")),
        1 => string(),
    ]
}

fn joined(parts: &[String], [open, close]: [char; 2], blank: &str) -> String {
    let mut text = format!("{open}{blank}");
    for (index, part) in parts.iter().enumerate() {
        let comma = if index > 0 { "," } else { "" };
        let _ = write!(text, "{comma}{blank}{part}{blank}");
    }
    text.push(close);
    text
}

fn value() -> impl Strategy<Value = String> {
    scalar().prop_recursive(5, 40, 6, |value| {
        let element = value.clone();
        let member = (key(), blanks(), value).prop_map(|(key, blank, value)| format!("{key}{blank}:{blank}{value}"));
        prop_oneof![
            1 => (prop::collection::vec(element, 0..5), blanks()).prop_map(|(all, blank)| joined(&all, ['[', ']'], blank)),
            3 => (prop::collection::vec(member, 0..6), blanks()).prop_map(|(all, blank)| joined(&all, ['{', '}'], blank)),
        ]
    })
}

fn body() -> impl Strategy<Value = String> {
    let items = prop::collection::vec(value(), 0..6);
    prop_oneof![
        value(),
        (items, blanks(), key(), scalar(), any::<bool>()).prop_map(
            |(items, blank, key, scalar, array)| {
                let list = format!(
                    "{{{key}:{scalar},{blank}\"items\"{blank}:{}}}",
                    joined(&items, ['[', ']'], blank)
                );
                if array { joined(&[list.clone(), list], ['[', ']'], blank) } else { list }
            }
        ),
    ]
}
