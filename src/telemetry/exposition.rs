//! Writes metrics in the two text formats that scrapers read.
//!
//! [`Format::Text`] is Prometheus' [text format 0.0.4](https://prometheus.io/docs/instrumenting/exposition_formats/),
//! [`Format::OpenMetrics`] is [OpenMetrics 1.0](https://prometheus.io/docs/specs/om/open_metrics_spec/). Every sample
//! has the same bytes in both. The lines around the samples differ: in its header, 0.0.4 names a counter with
//! `_total` and `OpenMetrics` without; `OpenMetrics` also has a line with the unit and one that ends the body.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

/// The format of a scrape.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Format {
    Text,
    OpenMetrics,
}

impl Format {
    /// The value of the `Content-Type` header.
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum MetricKind {
    Counter,
    Gauge,
    Histogram,
}

/// The labels of one series, in the order in which they are written.
pub(super) type Labels<'a> = Vec<(&'static str, Cow<'a, str>)>;

/// The value of a sample.
#[derive(Clone, Copy, Debug)]
pub(super) enum Number {
    Whole(u64),
    Float(f64),
}

/// A scrape being written.
pub(super) struct Exposition {
    format: Format,
    text: String,
}

/// One metric of a scrape. Its header is written with the first sample, since neither format has a use for a header
/// alone.
pub(super) struct Family<'a> {
    to: &'a mut Exposition,
    name: &'static str,
    help: &'static str,
    kind: MetricKind,
    begun: bool,
}

impl Exposition {
    pub(super) fn new(format: Format) -> Self {
        Self { format, text: String::with_capacity(32 << 10) }
    }

    /// Starts a metric. A counter is named without `_total`.
    pub(super) fn family(
        &mut self,
        name: &'static str,
        help: &'static str,
        kind: MetricKind,
    ) -> Family<'_> {
        Family { to: self, name, help, kind, begun: false }
    }

    pub(super) fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
        self.text
    }
}

impl Family<'_> {
    /// Writes one value of a counter or a gauge.
    pub(super) fn value(&mut self, labels: &Labels<'_>, value: Number) {
        let suffix = if self.kind == MetricKind::Counter { "_total" } else { "" };
        self.sample(suffix, labels, value);
    }

    /// Writes the buckets of a histogram, each with its upper bound and its own (not cumulative) count, and the sum.
    pub(super) fn histogram(&mut self, labels: &Labels<'_>, buckets: &[(f64, u64)], sum: f64) {
        let mut count = 0;
        for (bound, own) in buckets {
            count += own;
            let mut labels = labels.clone();
            labels.push(("le", Number::Float(*bound).to_string().into()));
            self.sample("_bucket", &labels, Number::Whole(count));
        }
        self.sample("_sum", labels, Number::Float(sum));
        self.sample("_count", labels, Number::Whole(count));
    }

    fn sample(&mut self, suffix: &str, labels: &Labels<'_>, value: Number) {
        if !std::mem::replace(&mut self.begun, true) {
            self.head();
        }
        let text = &mut self.to.text;
        text.push_str(self.name);
        text.push_str(suffix);
        for (at, (name, value)) in labels.iter().enumerate() {
            text.push(if at == 0 { '{' } else { ',' });
            text.push_str(name);
            text.push_str("=\"");
            escape(text, value, true);
            text.push('"');
        }
        if !labels.is_empty() {
            text.push('}');
        }
        // Writing to a String cannot fail.
        let _ = writeln!(text, " {value}");
    }

    fn head(&mut self) {
        let Self { to, name, help, kind, .. } = self;
        let Exposition { format, text } = &mut **to;
        let open = *format == Format::OpenMetrics;
        let suffix = if *kind == MetricKind::Counter && !open { "_total" } else { "" };
        let _ = write!(text, "# HELP {name}{suffix} ");
        escape(text, help, open);
        let _ = writeln!(text, "\n# TYPE {name}{suffix} {kind}");
        let unit = ["seconds", "bytes"].into_iter().find(|unit| ends_with_word(name, unit));
        if let Some(unit) = unit.filter(|_| open) {
            let _ = writeln!(text, "# UNIT {name} {unit}");
        }
    }
}

fn ends_with_word(name: &str, word: &str) -> bool {
    name.strip_suffix(word).is_some_and(|before| before.ends_with('_'))
}

/// Both formats define only these three escapes; 0.0.4 does not escape quotes in a help text.
fn escape(text: &mut String, value: &str, quotes: bool) {
    for c in value.chars() {
        match c {
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '"' if quotes => text.push_str("\\\""),
            c => text.push(c),
        }
    }
}

impl fmt::Display for MetricKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        })
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Whole(n) => write!(f, "{n}"),
            Self::Float(n) if n.is_nan() => f.write_str("NaN"),
            Self::Float(n) if n.is_infinite() => f.write_str(if n > 0.0 { "+Inf" } else { "-Inf" }),
            // Always with a decimal point, as `OpenMetrics` requires for the bounds of buckets.
            Self::Float(n) => write!(f, "{n:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(format: Format) -> String {
        let mut to = Exposition::new(format);
        let labels = vec![("input", "a\"b\\c\nd".into()), ("output", "loki".into())];
        let help = "A \"quoted\" word, a \\ and a\nline end.";
        to.family("x_bytes", help, MetricKind::Counter).value(&labels, Number::Whole(u64::MAX));
        to.family("x_megabytes", "No unit.", MetricKind::Gauge).value(&vec![], Number::Float(1e-9));
        to.family("x_absent", "Has no sample.", MetricKind::Gauge);
        let buckets = [(0.5, 2), (1.0, 0), (f64::INFINITY, 3)];
        to.family("x_seconds", "Took.", MetricKind::Histogram).histogram(&vec![], &buckets, 41.5);
        to.finish()
    }

    #[test]
    fn the_text_format_names_counters_with_total_and_has_neither_units_nor_an_end_mark() {
        let wanted = r#"# HELP x_bytes_total A "quoted" word, a \\ and a\nline end.
# TYPE x_bytes_total counter
x_bytes_total{input="a\"b\\c\nd",output="loki"} 18446744073709551615
# HELP x_megabytes No unit.
# TYPE x_megabytes gauge
x_megabytes 1e-9
# HELP x_seconds Took.
# TYPE x_seconds histogram
x_seconds_bucket{le="0.5"} 2
x_seconds_bucket{le="1.0"} 2
x_seconds_bucket{le="+Inf"} 5
x_seconds_sum 41.5
x_seconds_count 5
"#;
        assert_eq!(written(Format::Text), wanted);
    }

    #[test]
    fn open_metrics_names_the_counter_s_family_without_total_and_has_units_and_an_end_mark() {
        let wanted = r#"# HELP x_bytes A \"quoted\" word, a \\ and a\nline end.
# TYPE x_bytes counter
# UNIT x_bytes bytes
x_bytes_total{input="a\"b\\c\nd",output="loki"} 18446744073709551615
# HELP x_megabytes No unit.
# TYPE x_megabytes gauge
x_megabytes 1e-9
# HELP x_seconds Took.
# TYPE x_seconds histogram
# UNIT x_seconds seconds
x_seconds_bucket{le="0.5"} 2
x_seconds_bucket{le="1.0"} 2
x_seconds_bucket{le="+Inf"} 5
x_seconds_sum 41.5
x_seconds_count 5
# EOF
"#;
        assert_eq!(written(Format::OpenMetrics), wanted);
    }

    #[test]
    fn numbers_are_written_as_both_formats_read_them() {
        let float = |n| Number::Float(n).to_string();
        let found = [0.0, 2.5, 1_763_712_060.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
        assert_eq!(found.map(float), ["0.0", "2.5", "1763712060.0", "NaN", "+Inf", "-Inf"]);
    }
}
