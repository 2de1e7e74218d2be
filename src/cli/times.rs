//! Points in time on the command line: a timestamp, a day, or an age.

use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::config;
use crate::event::Nanos;
use crate::replay::TimeLimit;

/// A time in nanoseconds since 1970, and the text that was typed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct TimeArg {
    pub(super) nanos: Nanos,
    pub(super) text: String,
}

impl From<TimeArg> for TimeLimit {
    fn from(TimeArg { nanos, text }: TimeArg) -> Self {
        Self { nanos, text }
    }
}

impl FromStr for TimeArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let now = Timestamp::now();
        let nanos = parse(text, now).and_then(|nanos| Nanos::try_from(nanos).ok());
        let nanos = nanos.ok_or_else(|| {
            "write a time such as 2026-11-21T06:00:00Z, a day (UTC) such as 2026-11-21, or an age such as 24h".to_owned()
        })?;
        Ok(Self { nanos, text: text.to_owned() })
    }
}

fn parse(text: &str, now: Timestamp) -> Option<i128> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(time.as_nanosecond());
    }
    if text.len() == 10
        && let Ok(day) = text.parse::<Date>()
    {
        return Some(day.to_zoned(TimeZone::UTC).ok()?.timestamp().as_nanosecond());
    }
    let age = config::duration(text)?;
    Some(now.as_nanosecond() - i128::try_from(age.as_nanos()).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_a_day_and_an_age_are_understood() {
        let now: Timestamp = "2026-11-21T19:00:00Z".parse().unwrap();
        let at =
            |text: &str| parse(text, now).map(|nanos| Timestamp::from_nanosecond(nanos).unwrap());
        for (text, time) in [
            ("2026-11-21T06:00:00Z", "2026-11-21T06:00:00Z"),
            ("2026-11-21T06:00:00+02:00", "2026-11-21T04:00:00Z"),
            ("2026-11-21", "2026-11-21T00:00:00Z"),
            ("1d12h", "2026-11-20T07:00:00Z"),
            ("0s", "2026-11-21T19:00:00Z"),
        ] {
            assert_eq!(at(text), time.parse().ok(), "{text}");
        }
        for text in ["", "yesterday", "2026-11-21T06:00:00", "2026-13-01", "24"] {
            assert_eq!(at(text), None, "{text}");
        }
    }
}
