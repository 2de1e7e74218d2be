//! A point in time in the status: nanoseconds since the Unix epoch inside, RFC 3339 outside.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Nanoseconds since the Unix epoch: from 1677 to 2262.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Time(i64);

impl Time {
    pub(crate) fn now() -> Self {
        Self(Timestamp::now().as_nanosecond().try_into().unwrap_or(i64::MAX))
    }

    pub(crate) const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    pub(crate) const fn nanos(self) -> i64 {
        self.0
    }

    /// Seconds since the epoch, to the precision of Prometheus' floats.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a double still tells microseconds apart in this century"
    )]
    pub(crate) fn seconds(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// Zero if `earlier` is later: clocks differ, and are changed.
    /// The time this long before.
    pub(super) fn before(self, long: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(long.as_nanos()).unwrap_or(i64::MAX)))
    }

    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0).try_into().unwrap_or(0))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stamp = Timestamp::from_nanosecond(self.0.into()).map_err(|_| fmt::Error)?;
        match f.precision() {
            Some(digits) => write!(f, "{stamp:.digits$}"),
            None => write!(f, "{stamp}"),
        }
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let stamp: Timestamp =
            String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)?;
        stamp.as_nanosecond().try_into().map(Self).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_reads_what_it_prints_to_the_nanosecond() {
        for nanos in [0, 1, -1, 1_763_712_345_678_901_234, i64::MIN + 1, i64::MAX] {
            let text = serde_json::to_string(&Time(nanos)).unwrap();
            assert_eq!(serde_json::from_str::<Time>(&text).unwrap(), Time(nanos), "{text}");
        }
        assert_eq!(format!("{:.0}", Time(1_763_712_345_678_901_234)), "2025-11-21T08:05:45Z");
    }

    #[test]
    fn a_clock_set_back_gives_no_negative_age() {
        assert_eq!(Time(1).since(Time(2)), Duration::ZERO);
        assert_eq!(Time(i64::MIN).since(Time(i64::MAX)), Duration::ZERO);
        assert_eq!(Time(5).since(Time(2)), Duration::from_nanos(3));
    }
}
