//! The last hour: how many events the outputs took and how far they lagged, in a ring of samples of bounded size.
//!
//! The agent takes a sample every [`SAMPLE_EVERY`]; whoever samples gives the time. What is older than the ring is
//! forgotten, and so are samples of the future, which a clock that was set back leaves.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::pair::{EventResult, PairStats};
use super::time::Time;

/// Time between two samples.
pub(crate) const SAMPLE_EVERY: Duration = Duration::from_secs(15);

/// The ring spans this many intervals: an hour.
const INTERVALS: u32 = 240;

/// A sample.
#[derive(Clone, Copy, Debug)]
struct Sample {
    at: Time,
    /// Events that all outputs have acknowledged since the start.
    delivered: u64,
    /// The largest lag of an output.
    lag: Duration,
}

/// The ring.
#[derive(Debug, Default)]
pub(super) struct LastHour(Mutex<Ring>);

#[derive(Debug, Default)]
struct Ring {
    every: Duration,
    samples: VecDeque<Sample>,
}

/// The time between two samples, for a chart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Point {
    pub(crate) at: Time,
    /// Position in the span: 0 at its beginning, 1 now.
    pub(crate) x: f64,
    pub(crate) events: u64,
    pub(crate) events_per_second: f64,
    /// In seconds, at the end.
    pub(crate) lag: f64,
}

impl LastHour {
    pub(super) fn sample(&self, pairs: &[Arc<PairStats>], now: Time, every: Duration) {
        let delivered = pairs.iter().map(|pair| pair.events.of(EventResult::Delivered).get());
        let sample = Sample {
            at: now,
            delivered: delivered.fold(0, u64::saturating_add),
            lag: pairs.iter().map(|pair| pair.lag(now)).max().unwrap_or_default(),
        };
        self.note(sample, every);
    }

    fn note(&self, sample: Sample, every: Duration) {
        let mut ring = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ring.every = every;
        let span = every * INTERVALS;
        ring.samples.retain(|old| old.at < sample.at && sample.at.since(old.at) <= span);
        ring.samples.push_back(sample);
        if ring.samples.len() > INTERVALS as usize + 1 {
            ring.samples.pop_front();
        }
    }

    pub(super) fn points(&self, now: Time) -> Vec<Point> {
        let ring = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let span = (ring.every * INTERVALS).as_secs_f64();
        let pairs = ring.samples.iter().zip(ring.samples.iter().skip(1));
        let point = |(before, sample): (&Sample, &Sample)| {
            // A new output counts from 0.
            let events = sample.delivered.saturating_sub(before.delivered);
            let seconds = sample.at.since(before.at).as_secs_f64();
            #[expect(clippy::cast_precision_loss, reason = "for a chart")]
            let events_per_second = events as f64 / seconds;
            Point {
                at: sample.at,
                x: 1.0 - now.since(sample.at).as_secs_f64() / span,
                events,
                events_per_second,
                lag: sample.lag.as_secs_f64(),
            }
        };
        pairs.map(point).filter(|point| (0.0..=1.0).contains(&point.x)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::at;
    use super::super::{Identity, Telemetry};
    use super::*;

    fn telemetry() -> Telemetry {
        Telemetry::new(Identity { node: "cp-1".into(), cluster: None, version: "0" })
    }

    #[test]
    fn the_rates_are_those_between_samples_and_the_lag_is_the_largest() {
        let telemetry = telemetry();
        let (loki, search) = (telemetry.pair("api", "loki"), telemetry.pair("api", "search"));
        let delivers = |n| loki.events.of(EventResult::Delivered).add(n);
        delivers(1000);
        telemetry.sample(at(0), SAMPLE_EVERY);
        assert_eq!(telemetry.last_hour(at(0)), [], "a rate needs two samples");
        delivers(300);
        search.events.of(EventResult::Delivered).add(150);
        search.lag_bytes.set(1);
        search.oldest_pending.set(Some(at(-5)));
        telemetry.sample(at(15), SAMPLE_EVERY);
        telemetry.sample(at(45), SAMPLE_EVERY);
        let points = telemetry.last_hour(at(45));
        let told: Vec<_> =
            points.iter().map(|one| (one.events, one.events_per_second, one.lag)).collect();
        assert_eq!(told, [(450, 30.0, 20.0), (0, 0.0, 50.0)]);
        assert!(
            (points[1].x - 1.0).abs() < 1e-9 && (points[0].x - (1.0 - 30.0 / 3600.0)).abs() < 1e-9
        );
    }

    #[test]
    fn an_hour_is_kept_and_no_more_however_often_it_is_sampled() {
        let telemetry = telemetry();
        for sample in 0..1000 {
            telemetry.sample(at(sample * 15), SAMPLE_EVERY);
        }
        let points = telemetry.last_hour(at(999 * 15));
        assert_eq!(points.len(), 240);
        assert!(points[0].x >= 0.0 && points[0].at == at(999 * 15 - 239 * 15));
        for sample in 0..5000 {
            telemetry.sample(at(999 * 15 + 1 + sample), SAMPLE_EVERY);
        }
        assert!(telemetry.last_hour(at(999 * 15 + 5000)).len() <= 241);
        // Nothing of an hour in which the machine slept.
        assert_eq!(telemetry.last_hour(at(40_000)), []);
    }

    #[test]
    fn a_clock_that_is_set_back_leaves_no_sample_of_the_future() {
        let telemetry = telemetry();
        for seconds in [0, 15, 30, 7200, 7215, 45, 60] {
            telemetry.sample(at(seconds), SAMPLE_EVERY);
        }
        let times: Vec<_> = telemetry.last_hour(at(60)).iter().map(|point| point.at).collect();
        assert_eq!(times, [at(60)]);
    }
}
