//! Content negotiation for `/metrics`: which of the two text formats a scraper asks for in its `Accept` header.
//!
//! A scraper gets `OpenMetrics` if it names that type and prefers it, as Prometheus does. Everybody else gets the
//! text format 0.0.4, which every scraper reads: without the header, for `*/*`, and for a type that the agent does
//! not have.

use crate::telemetry::MetricsFormat;

const OPEN: &str = "application/openmetrics-text";

/// One media type that the scraper accepts, and its weight (`q`) in thousandths.
#[derive(Debug, PartialEq)]
struct Range {
    kind: String,
    version: Option<String>,
    weight: u16,
}

/// Several headers count as one joined by commas: [RFC 9110](https://www.rfc-editor.org/rfc/rfc9110#section-12.5.1).
pub(super) fn format<'a>(headers: impl Iterator<Item = &'a str>) -> MetricsFormat {
    let ranges: Vec<_> = headers.flat_map(|header| split(header, ',')).map(range).collect();
    let weight = |wanted: &dyn Fn(&Range) -> bool| {
        ranges.iter().filter(|range| wanted(range)).map(|range| range.weight).max()
    };
    let is_ours =
        |range: &Range, version: &str| range.version.as_ref().is_none_or(|asked| asked == version);
    let open = weight(&|range| range.kind == OPEN && is_ours(range, "1.0.0")).unwrap_or(0);
    // A more specific type wins over a less specific one.
    let text = weight(&|range| range.kind == "text/plain" && is_ours(range, "0.0.4"))
        .or_else(|| weight(&|range| range.kind == "text/*"))
        .or_else(|| weight(&|range| range.kind == "*/*"))
        .unwrap_or(0);
    if open > 0 && open >= text { MetricsFormat::OpenMetrics } else { MetricsFormat::Text }
}

fn range(text: &str) -> Range {
    let mut parts = split(text, ';').map(str::trim);
    let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
    let (mut version, mut weight) = (None, 1000);
    for (name, value) in parts.filter_map(|part| part.split_once('=')) {
        let value = value.trim().trim_matches('"');
        match name.trim().to_ascii_lowercase().as_str() {
            "q" => weight = thousandths(value),
            "version" => version = Some(value.to_owned()),
            _ => {}
        }
    }
    Range { kind, version, weight }
}

/// A weight between 0 and 1 in thousandths; 0 for one that cannot be parsed.
fn thousandths(text: &str) -> u16 {
    let weight = text.parse::<f32>().ok().filter(|weight| (0.0..=1.0).contains(weight));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1000")]
    weight.map_or(0, |weight| (weight * 1000.0).round() as u16)
}

/// Splits a header at `mark`, except between double quotes.
fn split(text: &str, mark: char) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    text.split(move |c| {
        quoted ^= c == '"';
        c == mark && !quoted
    })
}

#[cfg(test)]
mod tests {
    use super::MetricsFormat::{OpenMetrics, Text};
    use super::*;

    #[test]
    fn a_scraper_gets_open_metrics_only_where_it_names_and_prefers_it() {
        // The headers that Prometheus 2.42, 2.55 and 3.5, VictoriaMetrics, curl and a browser send, then odd ones.
        for (accept, wanted) in [
            (
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                OpenMetrics,
            ),
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                OpenMetrics,
            ),
            ("text/plain;version=0.0.4;q=1,*/*;q=0.1", Text),
            (
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7,text/plain;version=0.0.4;q=0.3",
                Text,
            ),
            ("*/*", Text),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Text),
            ("", Text),
            ("application/openmetrics-text", OpenMetrics),
            ("Application/OpenMetrics-Text; Version=\"1.0.0\" ; charset=utf-8", OpenMetrics),
            ("application/openmetrics-text, */*", OpenMetrics),
            ("application/openmetrics-text;q=0.3, text/plain;q=0.5", Text),
            ("application/openmetrics-text;q=0.3, text/*;q=0.2, */*;q=0.9", OpenMetrics),
            ("application/openmetrics-text;q=0.3, */*;q=0.9", Text),
            ("application/openmetrics-text;q=0", Text),
            ("application/openmetrics-text;q=0.000, text/plain;q=0", Text),
            ("application/openmetrics-text;q=lots", Text),
            ("application/openmetrics-text;version=0.0.1", Text),
            ("application/openmetrics-text;version=2.0.0, text/plain;q=0.1", Text),
            ("text/plain;x=\"a,application/openmetrics-text,b\"", Text),
            ("application/*", Text),
            ("application/json", Text),
            (";;;,,,=;q=\"", Text),
        ] {
            assert_eq!(format(std::iter::once(accept)), wanted, "{accept}");
        }
        assert_eq!(format(std::iter::empty()), Text);
        let several = ["text/plain;q=0.5", "application/openmetrics-text;version=1.0.0"];
        assert_eq!(format(several.into_iter()), OpenMetrics);
    }
}
