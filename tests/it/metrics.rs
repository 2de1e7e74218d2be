//! `/metrics` as Prometheus scrapes it: the text format (checked with promtool), `OpenMetrics`, and the counters of
//! requests.
// Counts in these tests are far below 2^52.
#![allow(clippy::cast_precision_loss)]

use std::fs;
use std::time::Duration;

use crate::command::{Place, exceeded_by_few, recorded};
use crate::prometheus::promtool;
use kit::{FakeStore, http, tables, wait_for};

/// A configuration with a file output and this store, which may refuse long documents.
fn place(store: &FakeStore) -> Place {
    let place = Place::following_recorded();
    let text = fs::read_to_string(place.config()).unwrap();
    let unchanged = "[outputs.search.transform]\nredact = \"off\"\nomit_managed_fields = false\nmax_event_bytes = \"1MiB\"\n";
    // A store on a busy machine answers late.
    let table = tables::search(&store.url, "").replace("300ms", "5s");
    fs::write(place.config(), format!("{text}\n{table}\n{unchanged}")).unwrap();
    place
}

fn scrape(place: &Place, accept: &str) -> String {
    let answer = http::send("GET", &place.url("/metrics"), &[("accept", accept)], Vec::new());
    String::from_utf8(answer.unwrap().body).unwrap()
}

/// The value of the first series that begins with this text.
fn value(metrics: &str, series: &str) -> f64 {
    let mut found = metrics.lines().filter_map(|line| line.strip_prefix(series));
    let value = found.next().unwrap_or_else(|| panic!("no {series} in\n{metrics}"));
    value.trim().parse().unwrap()
}

const OPEN: &str = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5";

/// Checks names, help texts, units and the order of samples with promtool, which prints nothing if all is well.
fn check_with_promtool(metrics: &str) {
    if let Some(said) = promtool(&["check", "metrics"], metrics) {
        assert!(said.is_empty(), "{said}\n{metrics}");
    }
}

#[test]
fn a_scrape_in_the_middle_of_work_passes_promtool_and_counts_every_request() {
    let store = FakeStore::refusing_longer(exceeded_by_few());
    let place = place(&store);
    let running = place.start();
    place.wait_for_bytes(recorded().len());
    let metrics = wait_for("both outputs to be done", Duration::from_mins(1), || {
        let metrics = scrape(&place, "*/*");
        let left = |output: &str| {
            let labels = format!("{{input=\"recorded\",output=\"{output}\"}}");
            value(&metrics, &format!("auditrail_output_lag_bytes{labels}"))
        };
        if left("events") + left("search") > 0.0 { Err(metrics) } else { Ok(metrics) }
    });
    check_with_promtool(&metrics);
    assert!(!metrics.contains("# EOF"), "an end mark is for OpenMetrics alone");

    let search = "input=\"recorded\",output=\"search\"";
    let of = |name: &str| value(&metrics, &format!("{name}{{{search}}}"));
    let prefix = format!("auditrail_output_requests_total{{{search},code=\"");
    let codes = metrics.lines().filter_map(|line| line.strip_prefix(&prefix)?.split_once("\"} "));
    let codes: Vec<(&str, f64)> = codes.map(|(code, n)| (code, n.parse().unwrap())).collect();
    assert!(codes.iter().any(|(code, n)| *code == "200" && *n > 0.0), "{codes:?}");
    let all: f64 = codes.iter().map(|(_, n)| n).sum();
    let count = of("auditrail_output_request_seconds_count");
    assert!((all - count).abs() < 0.1, "{count} requests, by code {codes:?}");
    let documents: usize = store.documents().values().map(|(document, _)| document.len()).sum();
    assert!(of("auditrail_output_sent_bytes_total") > documents as f64, "{metrics}");
    assert!(of("auditrail_dead_letters") > 0.0);
    let since = of("auditrail_dead_letters_oldest_timestamp_seconds");
    let age = jiff::Timestamp::now().as_second() as f64 - since;
    assert!((-1.0..120.0).contains(&age), "the oldest dead letter is {age} seconds old");

    let file = "input=\"recorded\",output=\"events\"";
    let written = value(&metrics, &format!("auditrail_output_sent_bytes_total{{{file}}}"));
    assert!((written - recorded().len() as f64).abs() < 0.1, "{written}");

    let open = scrape(&place, OPEN);
    assert!(open.ends_with("\n# EOF\n"), "a scrape that ends early is not one");
    assert!(open.contains("# TYPE auditrail_output_requests counter\n"), "{open}");
    assert!(metrics.contains("# TYPE auditrail_output_requests_total counter\n"), "{metrics}");
    drop(running);
}

#[test]
fn a_store_that_is_down_is_counted_by_status_and_one_that_is_gone_as_connect() {
    let store = FakeStore::new();
    store.state().down = Some(503);
    let place = place(&store);
    let text = fs::read_to_string(place.config()).unwrap();
    let gone = tables::search(&store.url, "").replace("outputs.search", "outputs.gone");
    let gone = gone.replace(&store.url, &format!("http://127.0.0.1:{}", kit::free_port()));
    fs::write(place.config(), format!("{text}\n{gone}")).unwrap();
    let running = place.start();
    let metrics = wait_for("requests to be counted", Duration::from_secs(20), || {
        let metrics = scrape(&place, "");
        let met = [("search", "503"), ("gone", "connect")].iter().all(|(output, code)| {
            let labels = format!("{{input=\"recorded\",output=\"{output}\",code=\"{code}\"}}");
            metrics.contains(&format!("auditrail_output_requests_total{labels} "))
        });
        if met { Ok(metrics) } else { Err(metrics) }
    });
    check_with_promtool(&metrics);
    let sent = |output: &str| {
        value(
            &metrics,
            &format!("auditrail_output_sent_bytes_total{{input=\"recorded\",output=\"{output}\"}}"),
        )
    };
    assert!(sent("search") > 0.0);
    assert!(sent("gone").abs() < 0.1, "nothing can be sent without a connection");
    drop(running);
}
