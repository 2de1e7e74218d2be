//! Logs in the framing of container runtimes: an event that is split into parts is read complete, once, and with one
//! position.

use proptest::prelude::*;

use super::server::event;
use crate::event::{Key, Mark};
use crate::input::Limits;
use crate::input::file::head;
use crate::input::read::assembly::{Anomalies, Assembly};

const KEY: Key = Key([3; 32]);

/// The offset and text of each event, for any split of the bytes and any batch limits.
fn read(log: &str, limits: Limits, step: usize) -> (Vec<(u64, String)>, Anomalies) {
    let (mut events, mut told) = (Vec::new(), Anomalies::default());
    let (mut rest, mut at, mut given) = (Vec::new(), 0, 0);
    loop {
        let mut assembly = Assembly::new(rest, at, None, None);
        loop {
            assembly.take_lines(&limits);
            if assembly.is_full(&limits) {
                break;
            }
            if assembly.unfinished() > limits.line_bytes && !assembly.give_up() {
                while !assembly.skim(given == log.len()) {
                    let next = &log.as_bytes()[given..log.len().min(given + step)];
                    given += next.len();
                    assembly.bytes.extend_from_slice(next);
                }
                break;
            }
            let next = &log.as_bytes()[given..log.len().min(given + step)];
            if next.is_empty() {
                assembly.take_tail();
                break;
            }
            given += next.len();
            assembly.bytes.extend_from_slice(next);
        }
        at = assembly.end();
        // The marks of a cursor are those of the bytes in the file.
        let raw = &log.as_bytes()[..usize::try_from(at).unwrap()];
        if assembly.told.over_long == 0 && !assembly.tail().is_empty() {
            assert!(raw.ends_with(&assembly.tail()), "at {at}");
            let whole = assembly.tail().len() >= Mark::LENGTH;
            assert!(!whole || Mark::of(&assembly.tail(), &KEY) == Mark::of(raw, &KEY));
        }
        events.extend(assembly.events.iter().map(|event| {
            let line = &assembly.bytes[event.line.range()];
            (event.offset, String::from_utf8_lossy(line).into_owned())
        }));
        told.torn += assembly.told.torn;
        told.unreadable += assembly.told.unreadable;
        told.passed_over += assembly.told.passed_over;
        if given == log.len() && assembly.unfinished() == 0 {
            return (events, told);
        }
        rest = assembly.bytes.split_off(assembly.done);
    }
}

fn limits(bytes: usize, events: usize) -> Limits {
    Limits { bytes, events, line_bytes: 1 << 20 }
}

const USUAL: Limits = Limits { bytes: 1 << 20, events: 5000, line_bytes: 1 << 20 };

fn texts(log: &str) -> Vec<String> {
    read(log, USUAL, 4096).0.into_iter().map(|(_, text)| text).collect()
}

/// A line as containerd writes it, in parts of `part` bytes.
fn cri(line: &str, part: usize) -> String {
    let parts: Vec<_> = line.as_bytes().chunks(part).map(String::from_utf8_lossy).collect();
    let framed = |(index, text)| {
        let tag = if index + 1 == parts.len() { 'F' } else { 'P' };
        format!("2026-11-26T03:00:00.{index:09}Z stdout {tag} {text}\n")
    };
    parts.iter().enumerate().map(framed).collect()
}

/// A line as Docker writes it; the last part ends with the newline.
fn docker(line: &str, part: usize) -> String {
    let framed = |text: &[u8]| {
        let text = serde_json::to_string(&String::from_utf8_lossy(text)).unwrap();
        format!("{{\"log\":{text},\"stream\":\"stdout\",\"time\":\"2026-11-26T03:00:00Z\"}}\n")
    };
    format!("{line}\n").as_bytes().chunks(part).map(framed).collect()
}

#[test]
fn the_parts_of_an_event_are_joined_with_messages_of_the_server_between_them() {
    let event = event("a", 500);
    let message = "2026-11-26T03:00:00Z stderr F I1126 03:00:00.000000       1 trace.go:1] x\n";
    let parts = cri(&event, 100).replace('\n', &format!("\n{message}"));
    let (events, told) = read(&format!("{message}{parts}"), USUAL, 4096);
    assert_eq!(events[0].1, event);
    assert_eq!((events.len(), told.torn, told.unreadable), (1, 0, 0));
    assert_eq!(told.passed_over as usize, 1 + parts.matches(message).count());
    let joined = docker(&event, 77);
    assert_eq!(texts(&joined), [event.as_str()]);
}

#[test]
fn parts_whose_end_never_came_are_what_is_left_of_one_event() {
    let (torn, next) = (event("a", 500), event("b", 10));
    let torn = cri(&torn, 100);
    let first = torn.lines().take(3).collect::<Vec<_>>().join("\n");
    for rest in [String::new(), format!("\n{next}\n"), format!("\n{next}")] {
        let (events, told) = read(&format!("{first}{rest}"), USUAL, 4096);
        assert_eq!(told.torn, 1, "{rest}");
        assert!(events[0].1.starts_with("{\"kind\":\"Event\"") && !events[0].1.contains("stdout"));
        assert_eq!(events.len(), 1 + usize::from(!rest.is_empty()));
    }
}

#[test]
fn parts_that_are_too_long_together_do_not_stay_in_memory() {
    let small = Limits { line_bytes: 2000, ..USUAL };
    let log = format!("{}{}\n", cri(&event("a", 9000), 100), event("b", 10));
    let (events, told) = read(&log, small, 64);
    assert!(told.torn > 1);
    assert_eq!(events.last().unwrap().1, event("b", 10));
}

#[test]
fn a_log_in_frames_is_known_by_its_first_event() {
    let event = event("a", 30_000);
    let fingerprint =
        |log: &str| head::read_all(log.as_bytes(), true, &KEY).unwrap().unwrap().fingerprint;
    let plain = fingerprint(&format!("{event}\n"));
    let messages = "2026-11-26T03:00:00Z stderr F starting\n".repeat(100);
    for log in [
        cri(&event, 16384),
        docker(&event, 16384),
        format!("{messages}{}", cri(&event, 16384)),
        format!("\u{feff}{event}\n"),
        format!("[{event}]\n"),
        format!("# a heading\nhost {event}"),
    ] {
        assert_eq!(fingerprint(&log), plain, "{log:.60}");
    }
    // The head is waited for while the last part is missing.
    let parts = cri(&event, 16384);
    let cut = parts.find(" F ").unwrap();
    assert!(head::read_all(&parts.as_bytes()[..cut], false, &KEY).unwrap().is_none());
}

#[test]
fn what_is_no_event_is_kept_and_counted_and_messages_are_not() {
    let log = "hello\n{\"a\":1}\n# heading\nI1126 03:00:00.000000       1 a.go:1] b\n";
    let (events, told) = read(log, USUAL, 4096);
    let lines: Vec<_> = events.iter().map(|(_, line)| line.as_str()).collect();
    assert_eq!(lines, ["hello", "{\"a\":1}"]);
    assert_eq!((told.unreadable, told.passed_over), (2, 2));
}

proptest! {
    /// Frames, parts, batches and reads of any size: the same events at the same offsets.
    #[test]
    fn an_event_in_parts_of_any_size_is_whole_and_once(
        bodies in prop::collection::vec((0..3_u8, 0..3000_usize, 40..400_usize), 1..6),
        step in 1..5000_usize,
        max_bytes in 1..4000_usize,
        max_events in 1..4_usize,
    ) {
        let lines: Vec<_> = (0..bodies.len()).map(|at| event(&format!("e{at}"), bodies[at].1)).collect();
        let log: String = lines
            .iter()
            .zip(&bodies)
            .map(|(line, (frame, _, part))| match frame {
                0 => format!("{line}\n"),
                1 => cri(line, *part),
                _ => docker(line, *part),
            })
            .collect();
        let (whole, told) = read(&log, USUAL, 1 << 20);
        let found: Vec<_> = whole.iter().map(|(_, text)| text.clone()).collect();
        prop_assert_eq!(found, lines);
        prop_assert_eq!((told.torn, told.unreadable, told.passed_over), (0, 0, 0));
        prop_assert!(whole.windows(2).all(|pair| pair[0].0 < pair[1].0));
        prop_assert_eq!(read(&log, limits(max_bytes, max_events), step).0, whole);
    }
}
