//! The table of all metrics with their help texts, one line per metric. `exposition.rs` writes them.
//!
//! A counter is named here without `_total`; the writer adds it. Label values are members of closed sets or names
//! from the configuration, never a path, a user, or anything that a client of the API server can choose.

use std::time::{Duration, Instant};

use super::exposition::{Exposition, Family, Format, Labels, MetricKind, Number};
use super::number::{Counts, Histogram};
use super::process::Process;
use super::{
    FindingKind, InputState, InputStats, PairState, PairStats, Telemetry, Time, TrailState,
    WebhookStats,
};
use crate::event::Label;
use crate::transform;

/// A metric: name, help, and how to read its values from a `T`.
struct MetricRow<T>(&'static str, &'static str, Values<T>);

/// How a value is read. A gauge without a value has no series.
enum Values<T> {
    Counter(fn(&T) -> u64),
    /// One series for each member of a closed set, under this label.
    Counters(&'static str, fn(&T) -> Vec<(&'static str, u64)>),
    /// One series for each value that has occurred.
    Coded(&'static str, fn(&T) -> Vec<(String, u64)>),
    Seconds(fn(&T, Time) -> Option<f64>),
    SecondsCounted(fn(&T) -> Option<f64>),
    Gauge(fn(&T) -> Option<u64>),
    /// One series for each member of a closed set, under this label.
    Gauges(&'static str, fn(&T) -> Vec<(&'static str, u64)>),
    Histogram(fn(&T) -> &Histogram),
}
use Values::{Coded, Counter, Counters, Gauge, Gauges, Seconds, SecondsCounted};

#[rustfmt::skip] // One line per metric.
const INPUT: &[MetricRow<InputStats>] = &[
    MetricRow("auditrail_input_bytes", "Decompressed bytes read from the log and its backups.", Counter(|i| i.bytes.get())),
    MetricRow("auditrail_input_events", "Events read.", Counter(|i| i.events.get())),
    MetricRow("auditrail_input_torn_lines", "Lines whose end was never written.", Counter(|i| i.torn_lines.get())),
    MetricRow("auditrail_input_hole_bytes", "NUL bytes found where lines should be.", Counter(|i| i.hole_bytes.get())),
    MetricRow("auditrail_input_over_long_lines", "Lines beyond max_line_bytes.", Counter(|i| i.over_long_lines.get())),
    MetricRow("auditrail_input_unreadable_lines", "Lines that are no event.", Counter(|i| i.unreadable_lines.get())),
    MetricRow("auditrail_input_passed_over_lines", "Lines left out: messages of the server itself, comments, headings.", Counter(|i| i.passed_over_lines.get())),
    MetricRow("auditrail_input_last_event_timestamp_seconds", "Event time of the last event read.", Seconds(|i, _| i.last_event.get().map(Time::seconds))),
    MetricRow("auditrail_input_last_write_timestamp_seconds", "Time of the last write to the live log, by its modification time.", Seconds(|i, _| i.last_write.get().map(Time::seconds))),
    MetricRow("auditrail_input_generations", "Generations of the log that are known, the live one included.", Gauge(|i| Some(i.generations.get()))),
    MetricRow("auditrail_input_backups", "Backups of the log on disk.", Gauge(|i| Some(i.backups.get()))),
    MetricRow("auditrail_hold_pins", "Generations of the log that a hard link keeps.", Gauge(|i| Some(i.pins.get()))),
    MetricRow("auditrail_hold_pinned_bytes", "Bytes on disk of all that a hard link keeps.", Gauge(|i| Some(i.pinned_bytes.get()))),
    MetricRow("auditrail_hold_bytes", "Bytes on disk that nothing but a hard link keeps: what counts against hold.max_bytes.", Gauge(|i| Some(i.hold_bytes.get()))),
    MetricRow("auditrail_hold_max_bytes", "The bound hold.max_bytes of the configuration; 0 means no links.", Gauge(|i| Some(i.hold_max_bytes.get()))),
    MetricRow("auditrail_input_inotify", "1 while the kernel reports changes, 0 while the agent polls.", Gauge(|i| Some(i.watch().index() as u64))),
    MetricRow("auditrail_input_readable", "1 while the log is there and can be read.", Gauge(|i| Some(u64::from(i.state() == InputState::Ok)))),
    MetricRow("auditrail_input_finding", "1 while this keeps events from arriving or puts them at risk; /readyz and the log say what to do.", Gauges("finding", findings)),
];

#[rustfmt::skip]
const WEBHOOK: &[MetricRow<WebhookStats>] = &[
    MetricRow("auditrail_webhook_requests", "Requests of the API server's webhook by the status of the answer.", Coded("code", WebhookStats::by_status)),
    MetricRow("auditrail_webhook_events", "Events that are in the spool and were answered 200.", Counter(|w| w.events.get())),
    MetricRow("auditrail_webhook_repeated_events", "Events of bodies that were sent again and were in the spool already.", Counter(|w| w.repeated.get())),
    MetricRow("auditrail_spool_bytes", "Bytes on disk of the spool.", Gauge(|w| Some(w.spool_bytes.get()))),
    MetricRow("auditrail_spool_max_bytes", "The most bytes that spool.max_bytes allows.", Gauge(|w| Some(w.spool_max_bytes.get()))),
];

#[rustfmt::skip]
const PAIR: &[MetricRow<PairStats>] = &[
    MetricRow("auditrail_output_events", "Events by what became of them.", Counters("result", |p| each(&p.events))),
    MetricRow("auditrail_transform_events", "Events by what was done to them before sending.", Counters("action", actions)),
    MetricRow("auditrail_output_retries", "Requests to be tried again.", Counters("reason", |p| each(&p.retries))),
    MetricRow("auditrail_output_lookups", "Events in doubt, by what asking for them gave.", Counters("result", |p| each(&p.lookups))),
    MetricRow("auditrail_gaps", "Stretches of the log that no one can read any more.", Counters("reason", |p| each(&p.gaps))),
    MetricRow("auditrail_gap_bytes", "Bytes in gaps, at least.", Counters("reason", |p| each(&p.gap_bytes))),
    MetricRow("auditrail_output_whole", "1 while nothing of the log is known to be missing: no gap, no dead letter, no file beside the log that is not followed.", Gauge(|p| Some(p.trail().whole.into()))),
    MetricRow("auditrail_output_whole_since_timestamp_seconds", "From here on no gap is known: the first event, or the first one after the last gap.", Seconds(|p, _| p.trail().since.map(Time::seconds))),
    MetricRow("auditrail_output_lag_bytes", "Decompressed bytes on disk not yet acknowledged.", Gauge(|p| Some(p.lag_bytes.get()))),
    MetricRow("auditrail_output_lag_seconds", "Age of the oldest event not yet acknowledged.", Seconds(|p, now| Some(p.lag(now).as_secs_f64()))),
    MetricRow("auditrail_output_time_to_loss_seconds", "Until an unshipped backup is deleted, at the present write rate; absent while none waits.", Seconds(|p, _| p.time_to_loss().map(|left| left.as_secs_f64()))),
    MetricRow("auditrail_output_last_success_timestamp_seconds", "Time of the last acknowledgement.", Seconds(|p, _| p.last_success.get().map(Time::seconds))),
    MetricRow("auditrail_output_requests_in_flight", "Requests sent and not yet answered.", Gauge(|p| Some(p.in_flight.get()))),
    MetricRow("auditrail_output_retrying", "1 while the output takes nothing and is tried again.", Gauge(|p| Some(p.is_retrying().into()))),
    MetricRow("auditrail_output_waiting_events", "Events that the output will not take before someone mends something; others may be delivered.", Gauge(|p| Some(p.waiting()))),
    MetricRow("auditrail_output_stopped", "1 while any event waits for someone to mend the configuration.", Gauge(|p| Some(matches!(p.state(), PairState::Stopped { .. }).into()))),
    MetricRow("auditrail_dead_letters", "Events that the output refused for their content, kept on disk.", Gauge(|p| Some(p.dead_letters.get()))),
    MetricRow("auditrail_dead_letter_bytes", "Bytes on disk of dead letters.", Gauge(|p| Some(p.dead_letter_bytes.get()))),
    MetricRow("auditrail_dead_letters_damaged", "Stretches of the dead letters on disk that do not read.", Gauge(|p| Some(p.dead_letters_damaged.get()))),
    MetricRow("auditrail_dead_letters_oldest_timestamp_seconds", "Time since which the oldest dead letter has been kept; absent while there is none.", Seconds(|p, _| p.dead_letters_oldest.get().map(Time::seconds))),
    MetricRow("auditrail_output_request_seconds", "From the sending of a request to the end of its answer, or until it was given up.", Values::Histogram(|p| &p.requests.took)),
    MetricRow("auditrail_output_requests", "Requests by HTTP status, or in a word why there is none.", Coded("code", |p| p.requests.by_code())),
    MetricRow("auditrail_output_sent_bytes", "Bytes of the bodies of requests, as sent.", Counter(|p| p.requests.sent_bytes.get())),
    MetricRow("auditrail_heartbeats", "Heartbeats by what became of them; they are not among the events.", Counters("result", |p| each(&p.heartbeats.results))),
    MetricRow("auditrail_heartbeat_last_success_timestamp_seconds", "Time of the last heartbeat that the output confirmed.", Seconds(|p, _| p.heartbeats.last_success.get().map(Time::seconds))),
    MetricRow("auditrail_delivery_latency_seconds", "From event time to acknowledgement.", Values::Histogram(|p| &p.latency)),
];

#[rustfmt::skip]
const AGENT: &[MetricRow<Telemetry>] = &[
    MetricRow("auditrail_checkpoint_errors", "Failed writes of the checkpoint.", Counter(|t| t.disk().checkpoint_errors.get())),
    MetricRow("auditrail_checkpoint_last_success_timestamp_seconds", "Time of the last write of the checkpoint.", Seconds(|t, _| t.disk().checkpoint_saved.get().map(Time::seconds))),
    MetricRow("auditrail_checkpoint_forged", "1 if a checkpoint failed authentication when the agent started.", Gauge(|t| Some(t.disk().forged().is_some().into()))),
    MetricRow("auditrail_state_bytes", "Bytes of all that the agent keeps in its state directory.", Gauge(|t| Some(t.disk().state_bytes.get()))),
    MetricRow("auditrail_disk_max_bytes", "The bound disk.max_bytes of the configuration, which auditrail_state_bytes counts against.", Gauge(|t| Some(t.disk().max_bytes.get()))),
    MetricRow("auditrail_stuck_loops", "Loops of the agent that have not moved for a minute; /livez names them.", Gauge(|t| Some(t.liveness(Instant::now()).len() as u64))),
    MetricRow("auditrail_config_last_reload_successful", "1 while the last reload of the configuration was accepted.", Gauge(|t| Some(t.reload().problem().is_none().into()))),
    MetricRow("auditrail_config_last_reload_success_timestamp_seconds", "Time of the last reload that was accepted.", Seconds(|t, _| t.reload().last_success().map(Time::seconds))),
    MetricRow("auditrail_memory_bound_bytes", "The most memory that the configuration allows.", Gauge(|t| Some(t.0.memory_bound.get()))),
    MetricRow("auditrail_disk_budget_spent", "1 while a bound of the disk budget is reached.", Gauge(|t| Some(t.disk().spent().is_some().into()))),
];

#[rustfmt::skip]
const PROCESS: &[MetricRow<Process>] = &[
    MetricRow("process_cpu_seconds", "User and system time.", SecondsCounted(|p| p.cpu_seconds)),
    MetricRow("process_start_time_seconds", "When the process began.", Seconds(|p, _| p.start_seconds)),
    MetricRow("process_resident_memory_bytes", "Resident memory.", Gauge(|p| p.resident_bytes)),
    MetricRow("process_virtual_memory_bytes", "Virtual memory.", Gauge(|p| p.virtual_bytes)),
    MetricRow("process_threads", "Threads.", Gauge(|p| p.threads)),
    MetricRow("process_open_fds", "Open file descriptors.", Gauge(|p| p.open_fds)),
    MetricRow("process_max_fds", "Limit of open file descriptors.", Gauge(|p| p.max_fds)),
];

impl Telemetry {
    /// The body of `/metrics`.
    pub(crate) fn metrics(&self, format: Format, now: Time, unready_after: Duration) -> String {
        let (inputs, pairs) = (self.inputs(), self.pairs());
        let inputs: Vec<_> =
            inputs.iter().map(|i| (vec![("input", (&*i.name).into())], &**i)).collect();
        let labels = |p: &PairStats| {
            vec![("input", p.input.to_string().into()), ("output", p.output.to_string().into())]
        };
        let pairs: Vec<_> = pairs.iter().map(|p| (labels(p), &**p)).collect();
        let mut to = Exposition::new(format);
        rows(&mut to, INPUT, &inputs, now);
        let webhooks = self.webhooks();
        let webhooks: Vec<_> =
            webhooks.iter().map(|w| (vec![("input", (&*w.input).into())], &**w)).collect();
        if !webhooks.is_empty() {
            rows(&mut to, WEBHOOK, &webhooks, now);
        }
        rows(&mut to, PAIR, &pairs, now);
        rows(&mut to, AGENT, &[(vec![], self)], now);
        let help =
            "1 for the verdict on the trail, which the page and `auditrail status` show too.";
        let verdict = self.verdict(now, unready_after);
        let mut states = to.family("auditrail_trail_state", help, MetricKind::Gauge);
        for state in TrailState::ALL {
            let is_it = *state == verdict.state;
            states.value(&vec![("state", state.text().into())], Number::Whole(is_it.into()));
        }
        // A gauge, not an `info`: the older text format has no such type.
        let version = vec![("version", self.0.identity.version.into())];
        to.family("auditrail_build_info", "1; the label says what runs here.", MetricKind::Gauge)
            .value(&version, Number::Whole(1));
        rows(&mut to, PROCESS, &[(vec![], &Process::read(self.0.process_started))], now);
        to.finish()
    }
}

fn rows<T>(to: &mut Exposition, rows: &[MetricRow<T>], all: &[(Labels<'_>, &T)], now: Time) {
    for MetricRow(name, help, values) in rows {
        let kind = match values {
            Counter(_) | Counters(..) | Coded(..) | SecondsCounted(_) => MetricKind::Counter,
            Gauge(_) | Gauges(..) | Seconds(_) => MetricKind::Gauge,
            Values::Histogram(_) => MetricKind::Histogram,
        };
        let mut family = to.family(name, help, kind);
        for (labels, of) in all {
            series(&mut family, labels, values, of, now);
        }
    }
}

fn series<T>(family: &mut Family<'_>, labels: &Labels<'_>, values: &Values<T>, of: &T, now: Time) {
    let mut labelled = |name: &'static str, value: String, n: u64| {
        let mut labels = labels.clone();
        labels.push((name, value.into()));
        family.value(&labels, Number::Whole(n));
    };
    match values {
        Counter(read) => family.value(labels, Number::Whole(read(of))),
        Counters(name, read) | Gauges(name, read) => {
            for (value, n) in read(of) {
                labelled(name, value.to_owned(), n);
            }
        }
        Coded(name, read) => {
            for (value, n) in read(of) {
                labelled(name, value, n);
            }
        }
        SecondsCounted(read) => float(family, labels, read(of)),
        Seconds(read) => float(family, labels, read(of, now)),
        Gauge(read) => {
            if let Some(n) = read(of) {
                family.value(labels, Number::Whole(n));
            }
        }
        Values::Histogram(read) => {
            let (buckets, sum) = read(of).read();
            family.histogram(labels, &buckets, sum);
        }
    }
}

fn float(family: &mut Family<'_>, labels: &Labels<'_>, value: Option<f64>) {
    if let Some(n) = value {
        family.value(labels, Number::Float(n));
    }
}

fn each<L: Label>(counts: &Counts<L>) -> Vec<(&'static str, u64)> {
    L::ALL.iter().map(|&label| (label.text(), counts.of(label).get())).collect()
}

/// Several actions of a step may count under one label.
fn actions(pair: &PairStats) -> Vec<(&'static str, u64)> {
    let mut counts: Vec<(&str, u64)> = Vec::new();
    for (action, counter) in transform::actions().zip(&pair.actions) {
        let Some(label) = action.label else { continue };
        match counts.iter_mut().find(|(known, _)| *known == label) {
            Some((_, count)) => *count += counter.get(),
            None => counts.push((label, counter.get())),
        }
    }
    counts
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

    /// Masks the values that only this process knows.
    fn masked(metrics: &str) -> String {
        let mask = |line: &str| match line.split_once(' ') {
            Some((name, _)) if name.starts_with("process_") => format!("{name} …\n"),
            _ => format!("{line}\n"),
        };
        metrics.lines().map(mask).collect()
    }

    fn scrape(telemetry: &Telemetry, format: Format) -> String {
        masked(&telemetry.metrics(format, at(60), Duration::from_mins(1)))
    }

    /// To accept a change, run `AUDITRAIL_BLESS=1 cargo test metrics` and read the difference.
    #[test]
    fn a_scrape_in_the_middle_of_work_shows_exactly_these_series() {
        let found = scrape(&busy(), Format::Text);
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

    #[test]
    fn both_formats_show_the_same_samples_and_differ_only_in_what_stands_around_them() {
        let (text, open) = (scrape(&busy(), Format::Text), scrape(&busy(), Format::OpenMetrics));
        let samples = |scrape: &str| -> Vec<String> {
            scrape.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
        };
        assert_eq!(samples(&text), samples(&open));
        assert!(open.ends_with("\n# EOF\n") && !text.contains("# EOF"));
        assert!(!text.contains("# UNIT"));
        let kinds = |scrape: &str, kind: &str| -> Vec<String> {
            let types = scrape.lines().filter_map(|line| line.strip_prefix("# TYPE "));
            types.filter_map(|line| Some(line.strip_suffix(kind)?.to_owned())).collect()
        };
        let counters = kinds(&open, " counter");
        assert!(counters.len() > 10);
        let total: Vec<_> = counters.iter().map(|name| format!("{name}_total")).collect();
        assert_eq!(kinds(&text, " counter"), total);
        for kind in [" gauge", " histogram"] {
            assert_eq!(kinds(&text, kind), kinds(&open, kind));
        }
        for unit in open.lines().filter_map(|line| line.strip_prefix("# UNIT ")) {
            let (name, unit) = unit.split_once(' ').unwrap();
            assert!(name.ends_with(&format!("_{unit}")), "{name} in {unit}");
        }
    }

    /// <https://prometheus.io/docs/practices/naming/>: one prefix, base units as suffix, `_total` on counters only.
    #[test]
    fn names_follow_the_rules_of_prometheus() {
        let text = scrape(&busy(), Format::OpenMetrics);
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
        let text = scrape(&telemetry, Format::Text);
        assert!(!text.contains("_timestamp_"), "{text}");
        assert!(text.contains("auditrail_output_events_total{input=\"apiserver\",output=\"loki\",result=\"refused\"} 0\n"));
    }

    #[test]
    fn a_name_with_quotes_and_line_ends_stays_inside_its_label() {
        let telemetry = busy();
        telemetry.input("a\"b\\c\nd");
        for format in [Format::Text, Format::OpenMetrics] {
            let text = scrape(&telemetry, format);
            let series = r#"auditrail_input_events_total{input="a\"b\\c\nd"} 0"#;
            assert!(text.contains(series), "{text}");
        }
    }
}
