//! Finds a time stamp for a line whose event has no readable one of its own.
//!
//! Looks only where servers and shippers write times: at members of the outermost object, and at the first words of a
//! text. Never searches a body.

use super::{Nanos, rfc3339};
use crate::json::members;

/// Keys that hold a time, best first.
const KEYS: [&[u8]; 14] = [
    b"stageTimestamp",
    b"requestReceivedTimestamp",
    b"timestamp",
    b"@timestamp",
    b"time",
    b"ts",
    b"date",
    b"eventTime",
    b"lastTimestamp",
    b"firstTimestamp",
    b"creationTimestamp",
    b"__REALTIME_TIMESTAMP",
    b"ingestionTime",
    b"receiveTimestamp",
];
/// A text's time stamp must be within this many bytes from its beginning.
const BEGINNING: usize = 256;

/// The best time stamp that can be found in a line.
pub(super) fn any_time(line: &[u8]) -> Option<Nanos> {
    let start = super::frame::leading(line);
    let line = &line[start..];
    if line.first() == Some(&b'{') { of_object(line) } else { of_text(line) }
}

fn of_object(line: &[u8]) -> Option<Nanos> {
    let mut best: Option<(usize, Nanos)> = None;
    let mut take = |key: &[u8], text: &[u8]| {
        let Some(rank) = KEYS.iter().position(|known| *known == key) else { return };
        if best.is_none_or(|(before, _)| rank < before)
            && let Some(time) = written(text)
        {
            best = Some((rank, time));
        }
    };
    members(line, 0, |key, value| {
        if value.depth == 0 {
            take(key, &line[value.at.range()]);
        } else if key == b"metadata" {
            members(line, value.at.start as usize, |key, value| {
                if value.depth == 0 {
                    take(key, &line[value.at.range()]);
                }
            });
        }
    });
    best.map(|(_, time)| time)
}

/// Reads RFC 3339, the same with a blank for the `T`, or a number since 1970 in seconds or a smaller unit.
fn written(text: &[u8]) -> Option<Nanos> {
    rfc3339(text).or_else(|| since_epoch(text)).or_else(|| {
        let text = std::str::from_utf8(text).ok()?.trim();
        let utc = format!("{}Z", text.trim_end_matches(" UTC"));
        // `2026-08-06 09:21:01 +0000`, as Go prints a time.
        let zoned = text.rsplit_once(' ').filter(|(_, zone)| zone.starts_with(['+', '-']));
        let zoned = zoned.map(|(time, zone)| format!("{time}{zone}"));
        rfc3339(utc.as_bytes()).or_else(|| rfc3339(zoned?.as_bytes()))
    })
}

/// Reads `1786008061`, `1786008061.871`, `1786008061871` and so on. The number of digits gives the unit, for times in
/// this century.
fn since_epoch(text: &[u8]) -> Option<Nanos> {
    let text = std::str::from_utf8(text).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let number: Nanos = whole.parse().ok().filter(|_| whole.as_bytes()[0].is_ascii_digit())?;
    let unit = match whole.len() {
        9..=10 => 1_000_000_000,
        12..=13 => 1_000_000,
        15..=16 => 1000,
        18..=19 => 1,
        _ => return None,
    };
    // The fraction, padded to nine digits, in billionths of the unit.
    let billionths: Nanos = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
    number.checked_mul(unit)?.checked_add(billionths * unit / 1_000_000_000)
}

fn of_text(line: &[u8]) -> Option<Nanos> {
    let text = String::from_utf8_lossy(&line[..line.len().min(BEGINNING)]);
    let words: Vec<_> = text.split_ascii_whitespace().take(8).collect();
    let single = words.iter().find_map(|word| {
        let word = word.trim_matches(|char: char| !char.is_ascii_alphanumeric());
        rfc3339(word.as_bytes())
    });
    let pair = || {
        words.windows(2).find_map(|pair| {
            if !pair[0].starts_with(|first: char| first.is_ascii_digit()) {
                return None;
            }
            written(format!("{} {}", pair[0], pair[1]).as_bytes())
        })
    };
    single.or_else(pair).or_else(|| access_log(&text)).or_else(|| auditd(&text))
}

/// `[06/Aug/2026:09:21:01 +0000]`.
fn access_log(text: &str) -> Option<Nanos> {
    let (_, rest) = text.split_once('[')?;
    let (stamp, _) = rest.split_once(']')?;
    let zoned = jiff::Zoned::strptime("%d/%b/%Y:%H:%M:%S %z", stamp).ok()?;
    i64::try_from(zoned.timestamp().as_nanosecond()).ok()
}

/// `msg=audit(1786008061.871:4242)`.
fn auditd(text: &str) -> Option<Nanos> {
    let (_, rest) = text.split_once("audit(")?;
    let (stamp, _) = rest.split_once(':')?;
    since_epoch(stamp.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ways_in_which_times_are_written_are_read() {
        let time = rfc3339(b"2026-08-06T09:21:01Z");
        for line in [
            r#"{"stageTimestamp":1786008061}"#,
            r#"{"stageTimestamp":"1786008061000"}"#,
            r#"{"ts":1786008061.0,"time":"x"}"#,
            r#"{"@timestamp":"2026-08-06 09:21:01.000"}"#,
            r#"{"stageTimestamp":"2026-08-06 09:21:01 +0000"}"#,
            r#"{"stageTimestamp":"2026-08-06T11:21:01+02:00"}"#,
            r#"{"timestamp":"2026-08-06T09:21:01Z","date":"2020-01-01T00:00:00Z"}"#,
            r#"{"__REALTIME_TIMESTAMP":"1786008061000000"}"#,
            r#"{"metadata":{"creationTimestamp":"2026-08-06T09:21:01Z"}}"#,
            r#"192.0.2.1 - - [06/Aug/2026:09:21:01 +0000] "GET /""#,
            "type=SYSCALL msg=audit(1786008061.000:4242): arch",
            "2026-08-06T09:21:01Z stdout F hello",
            "2026-08-06 09:21:01 hello",
            "<133>1 2026-08-06T09:21:01Z host app - - - hello",
        ] {
            assert_eq!(any_time(line.as_bytes()), time, "{line}");
        }
    }

    #[test]
    fn a_body_is_not_searched_and_nonsense_is_no_time() {
        for line in [
            r#"{"requestObject":{"time":"2026-08-06T09:21:01Z"}}"#,
            r#"{"time":12,"ts":"soon"}"#,
            "hello 12 world",
            "",
        ] {
            assert_eq!(any_time(line.as_bytes()), None, "{line}");
        }
    }
}
