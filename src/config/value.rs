//! Parses and prints sizes, durations and percentages as people write them.

use std::time::Duration;

const SIZES: [(&str, u64); 10] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("KB", 1_000),
    ("B", 1),
];

/// Units in milliseconds, largest first: the order in which a duration has to name them.
const TIMES: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// The number of bytes in a text such as `10MiB`, `10 MB` or `1048576`.
pub(crate) fn size(text: &str) -> Option<u64> {
    let (number, unit) = split(text)?;
    let known = |(name, _): &&(&str, u64)| *name == unit.trim_start();
    let factor = if unit.is_empty() { 1 } else { SIZES.iter().find(known)?.1 };
    number.checked_mul(factor)
}

/// The time in a text such as `5s`, `200ms` or `1h30m`. Units must go from large to small, each at most once.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let mut units = TIMES.iter();
    let mut rest = text;
    let mut total: u64 = 0;
    loop {
        let (number, after) = split(rest)?;
        let end = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, next) = after.split_at(end);
        let factor = units.find(|(name, _)| *name == unit)?.1;
        total = total.checked_add(number.checked_mul(factor)?)?;
        if next.is_empty() {
            return Some(Duration::from_millis(total));
        }
        rest = next;
    }
}

/// The number in a text such as `20%`, at most 100.
pub(super) fn percent(text: &str) -> Option<u8> {
    let (number, unit) = split(text)?;
    let number = u8::try_from(number).ok()?;
    (unit.trim_start() == "%" && number <= 100).then_some(number)
}

/// The leading digits and what follows them.
fn split(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    Some((digits.parse().ok()?, unit))
}

/// Prints a size in the largest binary unit that divides it.
pub(super) fn show_size(bytes: u64) -> String {
    let fits = |(_, factor): &&(&str, u64)| bytes >= *factor && bytes.is_multiple_of(*factor);
    match SIZES[..4].iter().find(fits) {
        Some((name, factor)) => format!("\"{}{name}\"", bytes / factor),
        None => format!("{bytes}"),
    }
}

/// Prints a duration in the largest unit that divides it, rounded down to milliseconds.
pub(super) fn show_duration(time: Duration) -> String {
    let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    match TIMES.iter().find(|(_, factor)| millis >= *factor && millis.is_multiple_of(*factor)) {
        Some((name, factor)) => format!("\"{}{name}\"", millis / factor),
        None => "\"0s\"".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_written() {
        for (text, bytes) in [
            ("0", 0),
            ("10", 10),
            ("10B", 10),
            ("10kB", 10_000),
            ("10KB", 10_000),
            ("10KiB", 10_240),
            ("10MB", 10_000_000),
            ("10 MiB", 10_485_760),
            ("2GiB", 2 << 30),
            ("16777215TiB", 16_777_215 << 40),
        ] {
            assert_eq!(size(text), Some(bytes), "{text}");
        }
        for text in [
            "",
            "MiB",
            "-1",
            "1.5GiB",
            "10mib",
            "10Mi",
            "10 ",
            "10M",
            " 10",
            "16777216TiB",
            "99999999999999999999",
        ] {
            assert_eq!(size(text), None, "{text}");
        }
    }

    #[test]
    fn durations_are_read_as_written() {
        for (text, millis) in [
            ("0s", 0),
            ("200ms", 200),
            ("5s", 5_000),
            ("1h30m", 5_400_000),
            ("24h", 86_400_000),
            ("1d1h1m1s1ms", 90_061_001),
        ] {
            assert_eq!(duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in [
            "",
            "5",
            "s",
            "5 s",
            "-5s",
            "1.5s",
            "30m1h",
            "1s1s",
            "5sec",
            "5é",
            "99999999999999999999s",
            "999999999999999999d",
        ] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn shares_end_at_all_of_it() {
        assert_eq!(
            (percent("0%"), percent("20 %"), percent("100%")),
            (Some(0), Some(20), Some(100))
        );
        assert_eq!(
            (percent("101%"), percent("20"), percent("%"), percent("1e1%")),
            (None, None, None, None)
        );
    }

    #[test]
    fn what_is_shown_reads_back() {
        for bytes in [1, 1023, 1024, 3 << 20, 100_000_000, 5 << 40] {
            assert_eq!(size(show_size(bytes).trim_matches('"')), Some(bytes));
        }
        for millis in [0, 1, 999, 1_000, 90_000, 172_800_000] {
            let time = Duration::from_millis(millis);
            assert_eq!(duration(show_duration(time).trim_matches('"')), Some(time));
        }
    }
}
