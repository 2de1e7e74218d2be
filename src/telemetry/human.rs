//! Formats sizes, counts and durations for people: short, and no more precise than is useful.

use std::fmt::Write as _;
use std::time::Duration;

/// `0 B`, `1023 B`, `1.5 KiB`, `20 MiB`: three significant digits at most, in powers of 1024.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    // In tenths, so that no float is needed; the largest value takes 69 bits.
    let (mut tenths, mut unit) = (u128::from(bytes) * 10 / 1024, 0);
    while tenths >= 10_240 {
        (tenths, unit) = (tenths / 1024, unit + 1);
    }
    if tenths < 100 && tenths % 10 != 0 {
        format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
    } else {
        format!("{} {}", tenths / 10, UNITS[unit])
    }
}

/// `1,234,567`.
pub(crate) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// `0s`, `0.3s`, `42s`, `2m 5s`, `3h 4m`, `12d 7h`: the two largest units.
pub(crate) fn duration(duration: Duration) -> String {
    let (seconds, tenth) = (duration.as_secs(), duration.subsec_millis() / 100);
    let pair = |large: u64, l: char, small: u64, s: char| {
        let mut text = format!("{large}{l}");
        if small > 0 {
            let _ = write!(text, " {small}{s}"); // Writing to a String cannot fail.
        }
        text
    };
    match seconds {
        0..10 if tenth > 0 => format!("{seconds}.{tenth}s"),
        0..60 => format!("{seconds}s"),
        60..3600 => pair(seconds / 60, 'm', seconds % 60, 's'),
        3600..86_400 => pair(seconds / 3600, 'h', seconds / 60 % 60, 'm'),
        _ => pair(seconds / 86_400, 'd', seconds / 3600 % 24, 'h'),
    }
}

/// Whether a terminal would obey the character, or show the ones around it in another order or place: control
/// characters, and those of Unicode for the direction of text, for separators and for nothing at all.
pub(crate) fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// One line without hidden characters, of at most `max` characters. For texts from a server, which may contain anything.
pub(crate) fn line(text: &str, max: usize) -> String {
    let clean = |c: char| if is_hidden(c) { ' ' } else { c };
    let mut words = text.trim_matches(|c: char| c.is_whitespace() || is_hidden(c)).chars();
    let mut cut: String = words.by_ref().take(max).map(clean).collect();
    if words.next().is_some() {
        cut.push('…');
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_counts_and_durations_read_as_people_write_them() {
        let sizes = [0, 1023, 1024, 1536, 20 << 20, (1 << 20) - 1, u64::MAX].map(size);
        assert_eq!(sizes, ["0 B", "1023 B", "1 KiB", "1.5 KiB", "20 MiB", "1023 KiB", "15 EiB"]);
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        let spans = [0, 320, 42_000, 125_000, 11_040_000, 1_062_000_000, 60_000];
        let spans = spans.map(|millis| duration(Duration::from_millis(millis)));
        assert_eq!(spans, ["0s", "0.3s", "42s", "2m 5s", "3h 4m", "12d 7h", "1m"]);
    }

    #[test]
    fn an_answer_of_many_lines_becomes_one_short_one() {
        assert_eq!(line(" no\r\nway\u{1b}[31m ", 80), "no  way [31m");
        assert_eq!(line("äöü!", 3), "äöü…");
        assert_eq!(line("\u{feff}a\u{202e}b\u{2066}\u{2028}c\u{200b}", 80), "a b  c");
    }
}
