//! Every number and its help text, one line a metric, in the text format of `OpenMetrics`.
//!
//! A counter is named without `_total`; the encoding adds it. Label values are members of closed sets or names from the
//! configuration, never a path, a user, or anything that a client of the API server can choose.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, MetricEncoder, NoLabelSet, text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::number::{Counts, Histogram, Label};
use super::process::Process;
use super::{FindingKind, InputState, InputStats, PairState, PairStats, Telemetry, Time};

/// What `text` makes, for the header of the answer.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A metric: name, help, and where its values are in a `T`.
struct Row<T>(&'static str, &'static str, Values<T>);

/// Where a value comes from. A gauge without a value has no series.
enum Values<T> {
    Counter(fn(&T) -> u64),
    /// One series for each member of a closed set, under this label.
    Counters(&'static str, fn(&T) -> Vec<(&'static str, u64)>),
    Seconds(fn(&T, Time) -> Option<f64>),
    SecondsCounted(fn(&T) -> Option<f64>),
    Gauge(fn(&T) -> Option<u64>),
    /// One series for each member of a closed set, under this label.
    Gauges(&'static str, fn(&T) -> Vec<(&'static str, u64)>),
    Histogram(fn(&T) -> &Histogram),
}
use Values::{Counter, Counters, Gauge, Gauges, Seconds, SecondsCounted};

#[rustfmt::skip] // One line a metric.
const INPUT: &[Row<InputStats>] = &[
    Row("auditrail_input_bytes", "Decompressed bytes read from the log and its backups.", Counter(|i| i.bytes.get())),
    Row("auditrail_input_events", "Events read.", Counter(|i| i.events.get())),
    Row("auditrail_input_torn_lines", "Lines whose end was never written.", Counter(|i| i.torn_lines.get())),
    Row("auditrail_input_hole_bytes", "NUL bytes found where lines should be.", Counter(|i| i.hole_bytes.get())),
    Row("auditrail_input_over_long_lines", "Lines beyond max_line_bytes.", Counter(|i| i.over_long_lines.get())),
    Row("auditrail_input_unreadable_lines", "Lines that are no event.", Counter(|i| i.unreadable_lines.get())),
    Row("auditrail_input_last_event_timestamp_seconds", "Event time of the last event read.", Seconds(|i, _| i.last_event.get().map(Time::seconds))),
    Row("auditrail_input_generations", "Generations of the log that are known, the live one included.", Gauge(|i| Some(i.generations.get()))),
    Row("auditrail_input_backups", "Backups of the log on disk.", Gauge(|i| Some(i.backups.get()))),
    Row("auditrail_hold_pins", "Generations of the log that a hard link keeps.", Gauge(|i| Some(i.pins.get()))),
    Row("auditrail_hold_pinned_bytes", "Bytes on disk of all that a hard link keeps.", Gauge(|i| Some(i.pinned_bytes.get()))),
    Row("auditrail_hold_bytes", "Bytes on disk that nothing but a hard link keeps: what counts against hold.max_bytes.", Gauge(|i| Some(i.hold_bytes.get()))),
    Row("auditrail_input_inotify", "1 while the kernel reports changes, 0 while the agent polls.", Gauge(|i| Some(i.watch().index() as u64))),
    Row("auditrail_input_readable", "1 while the log is there and can be read.", Gauge(|i| Some(u64::from(i.state() == InputState::Ok)))),
    Row("auditrail_input_finding", "1 while this keeps events from arriving or puts them at risk; /readyz and the log say what to do.", Gauges("finding", findings)),
];

#[rustfmt::skip]
const PAIR: &[Row<PairStats>] = &[
    Row("auditrail_output_events", "Events by what became of them.", Counters("result", |p| each(&p.events))),
    Row("auditrail_transform_events", "Events by what was done to them before sending.", Counters("action", |p| each(&p.actions))),
    Row("auditrail_output_retries", "Requests to be tried again.", Counters("reason", |p| each(&p.retries))),
    Row("auditrail_output_lookups", "Events in doubt, by what asking for them gave.", Counters("result", |p| each(&p.lookups))),
    Row("auditrail_gaps", "Stretches of the log that no one can read any more.", Counters("reason", |p| each(&p.gaps))),
    Row("auditrail_gap_bytes", "Bytes in gaps, at least.", Counters("reason", |p| each(&p.gap_bytes))),
    Row("auditrail_output_lag_bytes", "Decompressed bytes on disk not yet acknowledged.", Gauge(|p| Some(p.lag_bytes.get()))),
    Row("auditrail_output_lag_seconds", "Age of the oldest event not yet acknowledged.", Seconds(|p, now| Some(p.lag(now).as_secs_f64()))),
    Row("auditrail_output_time_to_loss_seconds", "Until an unshipped backup is deleted, at the present write rate; absent while none waits.", Seconds(|p, _| p.time_to_loss().map(|left| left.as_secs_f64()))),
    Row("auditrail_output_last_success_timestamp_seconds", "Time of the last acknowledgement.", Seconds(|p, _| p.last_success.get().map(Time::seconds))),
    Row("auditrail_output_requests_in_flight", "Requests sent and not yet answered.", Gauge(|p| Some(p.in_flight.get()))),
    Row("auditrail_output_retrying", "1 while the output takes nothing and is tried again.", Gauge(|p| Some(matches!(p.state(), PairState::Retrying { .. }).into()))),
    Row("auditrail_output_stopped", "1 while nothing is sent before someone mends the configuration.", Gauge(|p| Some(matches!(p.state(), PairState::Stopped { .. }).into()))),
    Row("auditrail_dead_letters", "Events that the output refused for their content, kept on disk.", Gauge(|p| Some(p.dead_letters.get()))),
    Row("auditrail_dead_letter_bytes", "Bytes on disk of dead letters.", Gauge(|p| Some(p.dead_letter_bytes.get()))),
    Row("auditrail_dead_letters_damaged", "Stretches of the dead letters on disk that do not read.", Gauge(|p| Some(p.dead_letters_damaged.get()))),
    Row("auditrail_delivery_latency_seconds", "From event time to acknowledgement.", Values::Histogram(|p| &p.latency)),
];

#[rustfmt::skip]
const AGENT: &[Row<Telemetry>] = &[
    Row("auditrail_checkpoint_errors", "Failed writes of the checkpoint.", Counter(|t| t.disk().checkpoint_errors.get())),
    Row("auditrail_checkpoint_last_success_timestamp_seconds", "Time of the last write of the checkpoint.", Seconds(|t, _| t.disk().checkpoint_saved.get().map(Time::seconds))),
    Row("auditrail_state_bytes", "Bytes of all that the agent keeps in its state directory.", Gauge(|t| Some(t.disk().state_bytes.get()))),
    Row("auditrail_config_last_reload_successful", "1 while the last reload of the configuration was accepted.", Gauge(|t| Some(t.reload().is_ok().into()))),
    Row("auditrail_config_last_reload_success_timestamp_seconds", "Time of the last reload that was accepted.", Seconds(|t, _| t.reload().last_success().map(Time::seconds))),
    Row("auditrail_memory_bound_bytes", "The most memory that the configuration allows.", Gauge(|t| Some(t.0.memory_bound.get()))),
    Row("auditrail_disk_budget_spent", "1 while a bound of the disk budget is reached.", Gauge(|t| Some(t.disk().spent().is_some().into()))),
];

#[rustfmt::skip]
const PROCESS: &[Row<Process>] = &[
    Row("process_cpu_seconds", "User and system time.", SecondsCounted(|p| p.cpu_seconds)),
    Row("process_start_time_seconds", "When the process began.", Seconds(|p, _| p.start_seconds)),
    Row("process_resident_memory_bytes", "Resident memory.", Gauge(|p| p.resident_bytes)),
    Row("process_virtual_memory_bytes", "Virtual memory.", Gauge(|p| p.virtual_bytes)),
    Row("process_threads", "Threads.", Gauge(|p| p.threads)),
    Row("process_open_fds", "Open file descriptors.", Gauge(|p| p.open_fds)),
    Row("process_max_fds", "Limit of open file descriptors.", Gauge(|p| p.max_fds)),
];

impl Telemetry {
    /// The body of `/metrics`.
    pub(crate) fn metrics(&self, now: Time) -> Result<String, fmt::Error> {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Scrape {
            telemetry: self.clone(),
            now,
            process: Process::read(),
        }));
        let mut body = String::new();
        text::encode(&mut body, &registry)?;
        Ok(body)
    }
}

/// All that is known at one time.
#[derive(Debug)]
struct Scrape {
    telemetry: Telemetry,
    now: Time,
    process: Process,
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (inputs, pairs) = (self.telemetry.inputs(), self.telemetry.pairs());
        let inputs: Vec<_> = inputs.iter().map(|i| (vec![("input", &*i.name)], &**i)).collect();
        let pairs: Vec<_> = pairs
            .iter()
            .map(|p| (vec![("input", &*p.input), ("output", &*p.output)], &**p))
            .collect();
        self.rows(&mut encoder, INPUT, &inputs)?;
        self.rows(&mut encoder, PAIR, &pairs)?;
        self.rows(&mut encoder, AGENT, &[(vec![], &self.telemetry)])?;
        // A gauge, not an `info`: the older text format, which some scrapers still assume, has no such type.
        let build = ("auditrail_build_info", "1; the label says what runs here.");
        let version = [("version", self.telemetry.0.identity.version)];
        let mut build = encoder.encode_descriptor(build.0, build.1, None, MetricType::Gauge)?;
        build.encode_family(&version)?.encode_gauge(&1_u32)?;
        self.rows(&mut encoder, PROCESS, &[(vec![], &self.process)])
    }
}

type Labels<'a> = Vec<(&'static str, &'a str)>;

impl Scrape {
    fn rows<T>(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        rows: &[Row<T>],
        all: &[(Labels<'_>, &T)],
    ) -> fmt::Result {
        for Row(name, help, values) in rows {
            let kind = match values {
                Counter(_) | Counters(..) | SecondsCounted(_) => MetricType::Counter,
                Gauge(_) | Gauges(..) | Seconds(_) => MetricType::Gauge,
                Values::Histogram(_) => MetricType::Histogram,
            };
            let mut metric = encoder.encode_descriptor(name, help, None, kind)?;
            for (labels, of) in all {
                self.series(&mut metric, labels, values, of)?;
            }
        }
        Ok(())
    }

    fn series<T>(
        &self,
        metric: &mut MetricEncoder<'_>,
        labels: &Labels<'_>,
        values: &Values<T>,
        of: &T,
    ) -> fmt::Result {
        if let Counters(name, read) = values {
            return read(of).into_iter().try_for_each(|(value, n)| {
                let mut labels = labels.clone();
                labels.push((name, value));
                counter(&mut metric.encode_family(&labels)?, &n)
            });
        }
        if let Gauges(name, read) = values {
            return read(of).into_iter().try_for_each(|(value, n)| {
                let mut labels = labels.clone();
                labels.push((name, value));
                metric.encode_family(&labels)?.encode_gauge(&n)
            });
        }
        // An empty set of labels would be written as `{}`, which is allowed but ugly.
        if labels.is_empty() {
            return self.one(metric, values, of);
        }
        self.one(&mut metric.encode_family(labels)?, values, of)
    }

    fn one<T>(&self, series: &mut MetricEncoder<'_>, values: &Values<T>, of: &T) -> fmt::Result {
        match values {
            Counter(read) => counter(series, &read(of)),
            SecondsCounted(read) => read(of).map_or(Ok(()), |n| counter(series, &n)),
            Gauge(read) => read(of).map_or(Ok(()), |n| series.encode_gauge(&n)),
            Seconds(read) => read(of, self.now).map_or(Ok(()), |n| series.encode_gauge(&n)),
            Values::Histogram(read) => {
                let (buckets, sum) = read(of).read();
                let count = buckets.iter().map(|(_, n)| n).sum();
                series.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
            }
            Counters(..) | Gauges(..) => Ok(()), // Several series, written by the caller.
        }
    }
}

fn counter<N: EncodeCounterValue>(series: &mut MetricEncoder<'_>, n: &N) -> fmt::Result {
    series.encode_counter::<NoLabelSet, N, f64>(n, None)
}

fn each<L: Label>(counts: &Counts<L>) -> Vec<(&'static str, u64)> {
    L::ALL.iter().map(|&label| (label.text(), counts.of(label).get())).collect()
}

fn findings(input: &InputStats) -> Vec<(&'static str, u64)> {
    let present = input.findings();
    let is_present = |kind| present.iter().any(|finding| finding.kind == kind);
    FindingKind::ALL.iter().map(|kind| (kind.text(), is_present(*kind).into())).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{at, busy};
    use super::*;

    /// What only this process knows is masked.
    fn masked(metrics: &str) -> String {
        let mask = |line: &str| match line.split_once(' ') {
            Some((name, _)) if name.starts_with("process_") => format!("{name} …\n"),
            _ => format!("{line}\n"),
        };
        metrics.lines().map(mask).collect()
    }

    /// To accept a change: `AUDITRAIL_BLESS=1 cargo test metrics`, and read the difference.
    #[test]
    fn a_scrape_in_the_middle_of_work_shows_exactly_these_series() {
        let found = masked(&busy().metrics(at(60)).unwrap());
        let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/src/telemetry/metrics.txt");
        if std::env::var_os("AUDITRAIL_BLESS").is_some() {
            std::fs::write(golden, &found).unwrap();
        }
        let wanted = std::fs::read_to_string(golden).unwrap();
        for (number, (found, wanted)) in found.lines().zip(wanted.lines()).enumerate() {
            assert_eq!(found, wanted, "line {} of {golden}", number + 1);
        }
        assert_eq!(found.lines().count(), wanted.lines().count());
    }

    /// <https://prometheus.io/docs/practices/naming/>: one prefix, base units as suffix, `_total` on counters alone.
    #[test]
    fn names_follow_the_rules_of_prometheus() {
        let text = busy().metrics(at(60)).unwrap();
        let mut seen = std::collections::HashSet::new();
        for words in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
            let (name, kind) = words.split_once(' ').unwrap();
            assert!(seen.insert(name), "{name} twice");
            assert!(name.starts_with("auditrail_") || name.starts_with("process_"), "{name}");
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name}");
            let odd_units =
                ["milli", "micro", "minutes", "hours", "kib", "kilo", "mega", "percent"];
            assert!(!odd_units.iter().any(|unit| name.contains(unit)), "{name}");
            let suffixes = ["_total", "_count", "_sum", "_bucket"];
            assert!(
                !suffixes.iter().any(|suffix| name.ends_with(suffix)),
                "{name} ends as the encoding does"
            );
            let series: Vec<_> =
                text.lines().filter(|line| line.starts_with(&format!("{name}_total"))).collect();
            assert_eq!(!series.is_empty(), kind == "counter", "{name} is a {kind}");
        }
        for help in text.lines().filter(|line| line.starts_with("# HELP ")) {
            assert!(help.ends_with('.'), "{help}");
        }
        assert!(text.ends_with("\n# EOF\n"));
    }

    #[test]
    fn what_has_not_happened_yet_has_no_time_stamp_rather_than_1970() {
        let telemetry = Telemetry::new(super::super::Identity {
            node: "n".into(),
            cluster: None,
            version: "0",
        });
        telemetry.input("apiserver");
        telemetry.pair("apiserver", "loki");
        let text = telemetry.metrics(at(0)).unwrap();
        let stamps: Vec<_> =
            text.lines().filter(|l| l.contains("_timestamp_") && !l.starts_with('#')).collect();
        assert_eq!(stamps, [""; 0]);
        assert!(text.contains("auditrail_output_events_total{input=\"apiserver\",output=\"loki\",result=\"refused\"} 0\n"));
    }

    #[test]
    fn a_name_with_quotes_and_line_ends_stays_inside_its_label() {
        let telemetry = busy();
        telemetry.input("a\"b\\c\nd");
        let text = telemetry.metrics(at(60)).unwrap();
        assert!(text.contains(r#"auditrail_input_events_total{input="a\"b\\c\nd"} 0"#), "{text}");
    }
}
