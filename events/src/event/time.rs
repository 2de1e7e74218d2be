//! Time stamps as the API server writes them, in nanoseconds since 1970.

use std::time::SystemTime;

/// Nanoseconds since the Unix epoch; every year from 1678 to 2261 fits.
pub type Nanos = i64;

/// A time of the system clock or of a file; `None` before 1970.
pub fn nanos(time: SystemTime) -> Option<Nanos> {
    Nanos::try_from(time.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_nanos()).ok()
}

/// Writes a time as kube-apiserver does: UTC, six fractional digits.
pub(crate) fn time_text(time: Nanos) -> String {
    let stamp = jiff::Timestamp::from_nanosecond(time.into()).unwrap_or_default();
    format!("{stamp:.6}")
}

/// Reads an RFC 3339 time stamp.
///
/// kube-apiserver writes UTC with exactly six fractional digits (`MicroTime` in apimachinery); this form is parsed here
/// without a library. The legacy format has the server's zone and up to nine digits, and is parsed by `jiff`.
pub fn rfc3339(text: &[u8]) -> Option<Nanos> {
    micro_time(text).or_else(|| {
        let stamp: jiff::Timestamp = std::str::from_utf8(text).ok()?.parse().ok()?;
        i64::try_from(stamp.as_nanosecond()).ok()
    })
}

/// Reads `2006-01-02T15:04:05.000000Z` and nothing else.
fn micro_time(text: &[u8]) -> Option<Nanos> {
    let &[
        y0,
        y1,
        y2,
        y3,
        b'-',
        m0,
        m1,
        b'-',
        d0,
        d1,
        b'T',
        h0,
        h1,
        b':',
        n0,
        n1,
        b':',
        s0,
        s1,
        b'.',
        ref micros @ ..,
        b'Z',
    ] = text
    else {
        return None;
    };
    if micros.len() != 6 {
        return None;
    }
    let year = number(&[y0, y1, y2, y3])?;
    let (month, day) = (number(&[m0, m1])?, number(&[d0, d1])?);
    let (hour, minute, second) = (number(&[h0, h1])?, number(&[n0, n1])?, number(&[s0, s1])?);
    let plausible = (1700..=2200).contains(&year)
        && (1..=12).contains(&month)
        && (1..=28).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    // Days after the 28th need a calendar, so the library decides.
    let days = if plausible { days_from_civil(year, month, day) } else { library_days(text)? };
    if !plausible && (hour > 23 || minute > 59 || second > 59) {
        return None;
    }
    Some(
        (((days * 24 + hour) * 60 + minute) * 60 + second) * 1_000_000_000 + number(micros)? * 1000,
    )
}

fn library_days(text: &[u8]) -> Option<i64> {
    let date: jiff::civil::Date = std::str::from_utf8(text.get(..10)?).ok()?.parse().ok()?;
    (1700..=2200)
        .contains(&date.year())
        .then(|| days_from_civil(date.year().into(), date.month().into(), date.day().into()))
}

/// Days from 1970-01-01 in the Gregorian calendar, counting years from March so that the leap day comes last.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    365 * year + year / 4 - year / 100 + year / 400 + day_of_year - 719_468
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |sum, digit| {
        if digit.is_ascii_digit() { Some(sum * 10 + i64::from(digit - b'0')) } else { None }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_forms_that_servers_write_are_read() {
        assert_eq!(rfc3339(b"1970-01-01T00:00:00.000001Z"), Some(1000));
        assert_eq!(rfc3339(b"2026-11-21T06:25:22.533537Z"), Some(1_795_242_322_533_537_000));
        assert_eq!(rfc3339(b"2024-02-29T23:59:59.000000Z"), Some(1_709_251_199_000_000_000));
        assert_eq!(rfc3339(b"2026-11-21T07:25:22.5+01:00"), Some(1_795_242_322_500_000_000));
        assert_eq!(rfc3339(b"2018-01-01T00:00:00Z"), Some(1_514_764_800_000_000_000));
    }

    #[test]
    fn nonsense_is_no_time() {
        for text in
            ["", "null", "2026-02-30T00:00:00.000000Z", "2026-11-21T25:00:00.000000Z", "2026-11-21"]
        {
            assert_eq!(rfc3339(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_quick_way_agrees_with_the_library(seconds in -8_000_000_000_i64..7_000_000_000, micros in 0_i32..1_000_000) {
            let stamp = jiff::Timestamp::new(seconds, micros * 1000 * i32::try_from(seconds.signum()).unwrap()).unwrap();
            let text = format!("{stamp:.6}");
            prop_assert_eq!(rfc3339(text.as_bytes()), i64::try_from(stamp.as_nanosecond()).ok(), "{}", text);
        }
    }
}
