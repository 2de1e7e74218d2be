//! The last hour as two small charts: events per second, and lag. Drawn here as SVG, with the same in words and as a
//! table.

use std::fmt::Write as _;
use std::time::Duration;

use maud::{Markup, html};

use super::words::{cell, table, utc};
use crate::telemetry::{Point, human};

/// The drawing area, in units of the SVG.
const WIDTH: f64 = 600.0;
const HEIGHT: f64 = 80.0;
/// Points of the line: one a minute, so that it can be read on a small screen too.
const MINUTES: f64 = 60.0;
/// A longer pause between two points is left blank: nobody sampled. In parts of the hour.
const PAUSE: f64 = 2.1 / MINUTES;
/// Rows of the table.
const ROWS: usize = 12;

const COLUMNS: [(&str, bool); 4] =
    [("Until", false), ("Events", true), ("Per second", true), ("Largest lag", true)];

pub(super) fn section(hour: &[Point]) -> Markup {
    html! {
        section aria-labelledby="hour" {
            h2 id="hour" { "Last hour" }
            @if hour.is_empty() {
                p.nothing { "No sample yet. The first one is taken within a minute of the start." }
            } @else {
                @let minutes = minutes(hour);
                div.charts {
                    (chart("Events delivered per second", &minutes, |point| point.events_per_second, rate, nice))
                    (chart("Lag of the slowest output", &minutes, |point| point.lag, seconds, nice_time))
                }
                details {
                    summary { "The same as a table" }
                    (table("Last hour", &COLUMNS, &rows(hour)))
                }
            }
        }
    }
}

/// One point for each minute.
fn minutes(hour: &[Point]) -> Vec<Point> {
    let minute = |point: &Point| (point.x * MINUTES).floor();
    let parts = hour.chunk_by(|one, other| minute(one).total_cmp(&minute(other)).is_eq());
    parts.filter_map(sum).collect()
}

/// Several points as one: all events, the mean rate, and the largest lag.
fn sum(part: &[Point]) -> Option<Point> {
    let rates = part.iter().map(|point| point.events_per_second).sum::<f64>();
    Some(Point {
        events: part.iter().map(|point| point.events).sum(),
        events_per_second: mean(rates, part.len()),
        lag: part.iter().map(|point| point.lag).fold(0.0, f64::max),
        ..*part.last()?
    })
}

fn chart(
    name: &str,
    hour: &[Point],
    value: fn(&Point) -> f64,
    told: fn(f64) -> String,
    scale: fn(f64) -> f64,
) -> Markup {
    let largest = hour.iter().map(value).fold(0.0, f64::max);
    let top = scale(largest);
    let latest = hour.last().map_or(0.0, value);
    let words = format!("now {}, at most {}", told(latest), told(largest));
    let (line, area) = paths(hour, value, top);
    html! {
        figure {
            figcaption { span.name { (name) } " " span.words { (words) } }
            div.plot {
                span.top aria-hidden="true" { (told(top)) }
                svg role="img" aria-label={ (name) " over the last hour: " (words) } viewBox={ "0 0 " (WIDTH) " " (HEIGHT) }
                    preserveAspectRatio="none" {
                    @for part in 1..6 {
                        path.grid d={ "M" (WIDTH / 6.0 * f64::from(part)) " 0V" (HEIGHT) } {}
                    }
                    path.grid d={ "M0 " (HEIGHT / 2.0) "H" (WIDTH) } {}
                    path.base d={ "M0 " (HEIGHT) "H" (WIDTH) } {}
                    path.area d=(area) {}
                    path.line d=(line) {}
                }
                span.scale aria-hidden="true" { span { "60 min ago" } span { "30 min ago" } span { "now" } }
            }
        }
    }
}

/// The line, and the area below it.
fn paths(hour: &[Point], value: fn(&Point) -> f64, top: f64) -> (String, String) {
    let (mut line, mut area) = (String::new(), String::new());
    let mut before: Option<f64> = None;
    for point in hour {
        let (x, y) = (point.x * WIDTH, HEIGHT - value(point) / top * (HEIGHT - 2.0));
        // Writing to a String cannot fail.
        let _ = match before {
            Some(last) if point.x - last <= PAUSE => {
                write!(line, "L{x:.1} {y:.1}").and_then(|()| write!(area, "L{x:.1} {y:.1}"))
            }
            last => {
                if let Some(last) = last {
                    let _ = write!(area, "L{:.1} {HEIGHT}Z", last * WIDTH);
                }
                write!(line, "M{x:.1} {y:.1}")
                    .and_then(|()| write!(area, "M{x:.1} {HEIGHT}L{x:.1} {y:.1}"))
            }
        };
        before = Some(point.x);
    }
    if let Some(last) = before {
        let _ = write!(area, "L{:.1} {HEIGHT}Z", last * WIDTH);
    }
    (line, area)
}

/// The next number of 1, 2 and 5 times a power of ten; at least 1.
fn nice(value: f64) -> f64 {
    let mut power = 1.0;
    while value > power * 10.0 {
        power *= 10.0;
    }
    let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * power);
    steps.into_iter().find(|step| *step >= value).unwrap_or(value)
}

/// The next time that people count in; at least a second.
fn nice_time(value: f64) -> f64 {
    const MINUTE: f64 = 60.0;
    const HOUR: f64 = 60.0 * MINUTE;
    const DAY: f64 = 24.0 * HOUR;
    let steps =
        [1.0, 2.0, 5.0, 10.0, 20.0, 30.0, MINUTE, 2.0 * MINUTE, 5.0 * MINUTE, 10.0 * MINUTE];
    let more = [30.0 * MINUTE, HOUR, 2.0 * HOUR, 6.0 * HOUR, 12.0 * HOUR, DAY];
    let found = steps.into_iter().chain(more).find(|step| *step >= value);
    found.unwrap_or_else(|| nice(value / DAY) * DAY)
}

/// Events per second.
fn rate(value: f64) -> String {
    if value > 0.0 && value < 9.95 {
        return format!("{value:.1}/s");
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "rounded, never negative"
    )]
    let whole = value.round() as u64;
    format!("{}/s", human::count(whole))
}

fn seconds(value: f64) -> String {
    let lag = Duration::try_from_secs_f64(value).unwrap_or_default();
    // Tenths of a second are noise on a chart.
    human::duration(if value < 10.0 { lag } else { Duration::from_secs(lag.as_secs()) })
}

/// At most [`ROWS`] rows, the latest first.
fn rows(hour: &[Point]) -> Markup {
    html! {
        @for part in hour.rchunks(hour.len().div_ceil(ROWS).max(1)) {
            @if let Some(Point { at, events, events_per_second, lag, .. }) = sum(part) {
                tr role="row" {
                    th role="rowheader" scope="row" { (utc(at)) }
                    (cell("Events", true, human::count(events)))
                    (cell("Per second", true, rate(events_per_second)))
                    (cell("Largest lag", true, seconds(lag)))
                }
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a few hundred")]
fn mean(sum: f64, n: usize) -> f64 {
    sum / n as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::tests::at;

    fn point(x: f64, events: u32, lag: f64) -> Point {
        let events_per_second = f64::from(events) / 15.0;
        Point { at: at(0), x, events: events.into(), events_per_second, lag }
    }

    #[test]
    fn the_chart_says_in_words_what_it_draws() {
        let hour = [point(0.95, 30, 5.0), point(0.97, 6000, 126.0), point(0.99, 0, 0.0)];
        let shown = section(&hour).into_string();
        for words in [
            "Events delivered per second over the last hour: now 0/s, at most 400/s",
            "Lag of the slowest output over the last hour: now 0s, at most 2m 6s",
            "<span class=\"top\" aria-hidden=\"true\">500/s</span>",
            ">6,000<",
        ] {
            assert!(shown.contains(words), "no {words} in {shown}");
        }
    }

    #[test]
    fn a_pause_of_the_samples_is_left_blank() {
        let hour = [
            point(0.1, 15, 0.0),
            point(0.104, 15, 0.0),
            point(0.5, 15, 0.0),
            point(0.504, 15, 0.0),
        ];
        let (line, area) = paths(&hour, |point| point.events_per_second, 1.0);
        assert_eq!((line.matches('M').count(), line.matches('L').count()), (2, 2), "{line}");
        assert_eq!(area.matches('Z').count(), 2, "{area}");
        assert!(area.starts_with("M60.0 80L60.0 2.0L62.4 2.0L62.4 80Z"), "{area}");
    }

    #[test]
    fn the_scale_ends_at_a_round_number() {
        for (value, top) in [
            (0.0, 1.0),
            (0.3, 1.0),
            (1.0, 1.0),
            (1.1, 2.0),
            (390.0, 500.0),
            (10.0, 10.0),
            (5001.0, 10_000.0),
        ] {
            assert!((nice(value) - top).abs() < 1e-9, "{value}: {}", nice(value));
        }
        for (value, top) in
            [(0.0, "1s"), (14.0, "20s"), (61.0, "2m"), (4000.0, "2h"), (600_000.0, "10d")]
        {
            assert_eq!(seconds(nice_time(value)), top, "{value}");
        }
    }

    #[test]
    fn an_hour_of_samples_makes_twelve_rows_and_none_is_lost() {
        let hour: Vec<_> = (1..=240).map(|n| point(f64::from(n) / 240.0, 1, 0.0)).collect();
        let shown = rows(&hour).into_string();
        assert_eq!(shown.matches("<tr").count(), 12);
        assert_eq!(shown.matches("class=\"value\">20<").count(), 12, "{shown}");
    }
}
