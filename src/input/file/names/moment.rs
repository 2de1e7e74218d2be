//! Parses the date, or date and time, that a rotation puts into a file name.
//!
//! logrotate's `dateformat` may have `%Y %m %d %H %M %S %V %s` in any order, and people separate them with dashes,
//! dots, underscores or nothing. Other tools add `T`, fractions and a time zone. A text that is no valid date is
//! refused, so `audit-2026-13-21.log` is not followed. Without a time zone it is read as UTC, although most are local
//! time: the date only orders names, and the events order the content.

use crate::event::{Nanos, rfc3339};

const SECOND: Nanos = 1_000_000_000;
/// The years that a Kubernetes log can be from, with a margin on both sides, so that other numbers are seldom taken
/// for a year.
const YEARS: std::ops::Range<i64> = 1970..2200;

/// Parses a whole text as a date or time.
pub(super) fn moment(text: &str) -> Option<Nanos> {
    let forms: [fn(StampText<'_>) -> Option<Nanos>; 6] =
        [year_first, day_first, month_first, month_only, week, unix];
    forms.iter().find_map(|form| form(StampText(text.as_bytes())))
}

/// `20060102`, `2006-01-02`, and an optional time.
fn year_first(mut text: StampText<'_>) -> Option<Nanos> {
    let year = text.digits(4)?;
    let joint = text.one_of(b"-._");
    let month = text.digits(2)?;
    text.again(joint)?;
    let day = text.digits(2)?;
    text.clock(midnight(year, month, day)?)
}

/// `02012006`, `02-01-2006`, and an optional time.
fn day_first(mut text: StampText<'_>) -> Option<Nanos> {
    let (day, month, year) = text.year_last()?;
    text.clock(midnight(year, month, day)?)
}

/// `01-02-2006`, and an optional time.
fn month_first(mut text: StampText<'_>) -> Option<Nanos> {
    let (month, day, year) = text.year_last()?;
    text.clock(midnight(year, month, day)?)
}

/// `200601`, `2006-01`.
fn month_only(mut text: StampText<'_>) -> Option<Nanos> {
    let year = text.digits(4)?;
    text.one_of(b"-._");
    let month = text.digits(2)?;
    text.is_empty().then(|| midnight(year, month, 1))?
}

/// `2006-W01`, `2006-01` with a week beyond the twelfth.
fn week(mut text: StampText<'_>) -> Option<Nanos> {
    let year = text.digits(4)?;
    text.one_of(b"-._");
    text.one_of(b"Ww");
    let week = text.digits(2).filter(|week| (1..=53).contains(week))?;
    text.is_empty().then(|| Some(midnight(year, 1, 1)? + (week - 1) * 7 * 86_400 * SECOND))?
}

/// Seconds since 1970, or milliseconds.
fn unix(text: StampText<'_>) -> Option<Nanos> {
    let number = text.all_digits()?;
    let seconds = match text.0.len() {
        10 => number,
        13 => number / 1000,
        _ => return None,
    };
    seconds.checked_mul(SECOND)
}

fn midnight(year: i64, month: i64, day: i64) -> Option<Nanos> {
    let date = || rfc3339(format!("{year:04}-{month:02}-{day:02}T00:00:00.000000Z").as_bytes());
    YEARS.contains(&year).then(date)?
}

/// The text that is not parsed yet.
#[derive(Clone, Copy)]
struct StampText<'a>(&'a [u8]);

impl StampText<'_> {
    fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// Parses exactly `count` digits.
    fn digits(&mut self, count: usize) -> Option<i64> {
        let (digits, rest) = self.0.split_at_checked(count)?;
        let number = StampText(digits).all_digits()?;
        self.0 = rest;
        Some(number)
    }

    /// Parses all of it as a number.
    fn all_digits(self) -> Option<i64> {
        if self.0.is_empty() || self.0.len() > 18 {
            return None;
        }
        self.0.iter().try_fold(0, |sum, byte| {
            byte.is_ascii_digit().then(|| sum * 10 + i64::from(byte - b'0'))
        })
    }

    /// Consumes the next byte if it is one of these.
    fn one_of(&mut self, bytes: &[u8]) -> Option<u8> {
        let (first, rest) = self.0.split_first().filter(|(first, _)| bytes.contains(first))?;
        self.0 = rest;
        Some(*first)
    }

    /// Requires the separator that stood between the last two numbers.
    fn again(&mut self, joint: Option<u8>) -> Option<()> {
        joint.is_none_or(|joint| self.one_of(&[joint]).is_some()).then_some(())
    }

    /// Parses two numbers and a year.
    fn year_last(&mut self) -> Option<(i64, i64, i64)> {
        let first = self.digits(2)?;
        let joint = self.one_of(b"-._");
        let second = self.digits(2)?;
        self.again(joint)?;
        Some((first, second, self.digits(4)?))
    }

    /// Parses the optional time of day: hours, minutes, seconds, a fraction, a zone; or seconds since 1970.
    fn clock(mut self, day: Nanos) -> Option<Nanos> {
        if self.is_empty() {
            return Some(day);
        }
        let joint = self.one_of(b"Tt-_.:@ ");
        if let Some(seconds) = self.all_digits().filter(|_| joint.is_some())
            && (9..=11).contains(&self.0.len())
        {
            return seconds.checked_mul(SECOND);
        }
        let mut time = day + self.digits(2).filter(|hour| *hour < 24)? * 3600 * SECOND;
        let joint = self.one_of(b":-._");
        if joint.is_none() && self.is_empty() {
            return Some(time);
        }
        time += self.digits(2).filter(|minute| *minute < 60)? * 60 * SECOND;
        if self.is_empty() {
            return Some(time);
        }
        // A dash between minutes and seconds is a separator, not the sign of a zone.
        if let Some(offset) = self.zone().filter(|_| joint != Some(b'-')) {
            return Some(time - offset);
        }
        self.again(joint)?;
        time += self.digits(2).filter(|second| *second < 60)? * SECOND;
        if let Some(offset) = self.zone() {
            return Some(time - offset);
        }
        self.one_of(b".,-_:");
        let digits = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let fraction = self.digits(digits).filter(|_| digits <= 9)?;
        time += fraction * 10_i64.pow(9 - u32::try_from(digits).ok()?);
        Some(time - self.zone()?)
    }

    /// Parses the rest as a zone, in nanoseconds east of Greenwich. An empty rest is UTC.
    fn zone(mut self) -> Option<Nanos> {
        if matches!(self.0, b"" | b"Z" | b"z") {
            return Some(0);
        }
        let west = self.one_of(b"+-")? == b'-';
        let hours = self.digits(2).filter(|hours| *hours < 15)?;
        self.one_of(b":");
        let minutes = if self.is_empty() { 0 } else { self.digits(2).filter(|n| *n < 60)? };
        let offset = (hours * 60 + minutes) * 60 * SECOND;
        self.is_empty().then_some(if west { -offset } else { offset })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_in_the_forms_that_people_give_them() {
        let table = [
            ("20261126", "2026-11-26T00:00:00Z"),
            ("2026-11-26", "2026-11-26T00:00:00Z"),
            ("2026.11.26", "2026-11-26T00:00:00Z"),
            ("2026_11_26", "2026-11-26T00:00:00Z"),
            ("26112026", "2026-11-26T00:00:00Z"),
            ("26-11-2026", "2026-11-26T00:00:00Z"),
            ("11-26-2026", "2026-11-26T00:00:00Z"),
            ("202611", "2026-11-01T00:00:00Z"),
            ("2026-11", "2026-11-01T00:00:00Z"),
            ("2026-W02", "2026-01-08T00:00:00Z"),
            ("2026-47", "2026-11-19T00:00:00Z"),
            ("2026112601", "2026-11-26T01:00:00Z"),
            ("20261126-01", "2026-11-26T01:00:00Z"),
            ("2026-11-26_01", "2026-11-26T01:00:00Z"),
            ("20261126-0101", "2026-11-26T01:01:00Z"),
            ("202611260101", "2026-11-26T01:01:00Z"),
            ("20261126014212", "2026-11-26T01:42:12Z"),
            ("20261126-014212", "2026-11-26T01:42:12Z"),
            ("20261126T014212Z", "2026-11-26T01:42:12Z"),
            ("20261126T014212+0100", "2026-11-26T00:42:12Z"),
            ("2026-11-26T01:02:03", "2026-11-26T01:02:03Z"),
            ("2026-11-26T01-02-03.459", "2026-11-26T01:02:03.459Z"),
            ("2026-11-26-01-02-03", "2026-11-26T01:02:03Z"),
            ("2026-11-26T01:02:03.123456789Z", "2026-11-26T01:02:03.123456789Z"),
            ("2026-11-26T01:02:03-08:00", "2026-11-26T09:02:03Z"),
            ("1795242322", "2026-11-21T06:25:22Z"),
            ("1795242322533", "2026-11-21T06:25:22Z"),
            ("20261121-1795242322", "2026-11-21T06:25:22Z"),
        ];
        for (text, time) in table {
            assert_eq!(moment(text), rfc3339(time.as_bytes()), "{text}");
        }
    }

    #[test]
    fn what_is_no_real_date_is_none() {
        for text in [
            "",
            "1",
            "12345",
            "2026",
            "2026-",
            "2026-13-01",
            "2026-02-30",
            "20261126x",
            "x20261126",
            "20261126-",
            "20261126-25",
            "20261126-0160",
            "2026-11.26",
            "99999999",
            "0000-00-00",
            "2026-11-26T01:02:03+99",
            "2026-54",
            "999999999999999999999999",
            "20261126T0142121234567890",
        ] {
            assert_eq!(moment(text), None, "{text}");
        }
    }
}
