//! Counters and gauges that many threads update and a scrape reads: atomics only, without lock or allocation.
//!
//! All orderings are relaxed: a scrape needs each number, and the numbers need not be of the same moment.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::time::Time;
use crate::event::Label;

/// A counter: it only grows.
#[derive(Debug, Default)]
pub(crate) struct CounterValue(AtomicU64);

impl CounterValue {
    pub(crate) fn inc(&self) {
        self.add(1);
    }

    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A gauge: it goes up and down, never below zero.
#[derive(Debug, Default)]
pub(crate) struct GaugeValue(AtomicU64);

impl GaugeValue {
    pub(crate) const fn of(n: u64) -> Self {
        Self(AtomicU64::new(n))
    }

    pub(crate) fn set(&self, n: u64) {
        self.0.store(n, Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A point in time that may be unset.
#[derive(Debug)]
pub(crate) struct Stamp(AtomicI64);

impl Default for Stamp {
    fn default() -> Self {
        Self(AtomicI64::new(i64::MIN))
    }
}

impl Stamp {
    pub(crate) fn set(&self, time: Option<Time>) {
        self.0.store(time.map_or(i64::MIN, Time::nanos), Relaxed);
    }

    pub(crate) fn get(&self) -> Option<Time> {
        Some(self.0.load(Relaxed)).filter(|&nanos| nanos != i64::MIN).map(Time::from_nanos)
    }
}

/// One [`CounterValue`] for each member of a closed set.
#[derive(Debug)]
pub(crate) struct Counts<L>(Box<[CounterValue]>, PhantomData<L>);

impl<L: Label> Default for Counts<L> {
    fn default() -> Self {
        Self(L::ALL.iter().map(|_| CounterValue::default()).collect(), PhantomData)
    }
}

impl<L: Label> Counts<L> {
    pub(crate) fn of(&self, label: L) -> &CounterValue {
        &self.0[label.index()]
    }
}

/// Counts observations by duration, in buckets with upper bounds.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    /// Upper bounds in seconds, in order.
    bounds: &'static [f64],
    /// Own count of each bucket, not cumulative; the last one is for observations above every bound.
    buckets: Box<[CounterValue]>,
    sum_micros: CounterValue,
}

impl Histogram {
    pub(super) fn new(bounds: &'static [f64]) -> Self {
        let buckets = (0..=bounds.len()).map(|_| CounterValue::default()).collect();
        Self { bounds, buckets, sum_micros: CounterValue::default() }
    }

    pub(crate) fn observe(&self, took: Duration) {
        let seconds = took.as_secs_f64();
        self.buckets[self.bounds.partition_point(|&bound| bound < seconds)].inc();
        self.sum_micros.add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    /// Upper bound and own count of each bucket, and the sum in seconds.
    pub(crate) fn read(&self) -> (Vec<(f64, u64)>, f64) {
        let bounds = self.bounds.iter().copied().chain([f64::INFINITY]);
        let buckets = bounds.zip(self.buckets.iter().map(CounterValue::get)).collect();
        (buckets, Duration::from_micros(self.sum_micros.get()).as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_observation_on_a_bound_counts_below_it_and_one_beyond_all_bounds_is_kept() {
        let histogram = Histogram::new(&[0.005, 0.01, 60.0, 3600.0]);
        for millis in [5, 6, 3_600_000, 3_600_001] {
            histogram.observe(Duration::from_millis(millis));
        }
        let (buckets, sum) = histogram.read();
        let filled: Vec<_> = buckets.into_iter().filter(|&(_, n)| n > 0).collect();
        assert_eq!(filled, [(0.005, 1), (0.01, 1), (3600.0, 1), (f64::INFINITY, 1)]);
        assert!((sum - 7200.012).abs() < 1e-9, "{sum}");
    }

    #[test]
    fn a_stamp_that_was_never_set_is_not_1970() {
        let stamp = Stamp::default();
        assert_eq!(stamp.get(), None);
        stamp.set(Some(Time::from_nanos(0)));
        assert_eq!(stamp.get(), Some(Time::from_nanos(0)));
    }
}
