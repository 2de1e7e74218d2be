//! `verify --json`: one object on one line, written piece by piece, since the list of missing events may be long.

use std::io::{self, Write};

use serde::Serialize;

use super::describe::{self, Description};
use super::job::{Compared, Job, Pair};
use crate::telemetry::Time;
use crate::verify::{Beside, Fault, Noted, Tally};

const HOUR: i64 = 3_600_000_000_000;

#[derive(Serialize)]
struct Head<'a> {
    input: &'a str,
    output: &'a str,
    files: Vec<&'a std::path::Path>,
    /// Times of the first and the last event that were compared.
    first: Option<Time>,
    last: Option<Time>,
    /// The event time that the agent has reached.
    delivered: Option<Time>,
    total: Tally,
    beside: Beside,
}

#[derive(Serialize)]
struct Hour {
    hour: Time,
    #[serde(flatten)]
    tally: Tally,
}

#[derive(Serialize)]
struct Event<'a> {
    time: Time,
    file: &'a str,
    generation: String,
    offset: u64,
    #[serde(flatten)]
    what: Option<&'a Description>,
}

/// A pair that could not be compared.
pub(super) fn failed(out: &mut impl Write, pair: &Pair<'_>, error: &str) {
    let value = serde_json::json!({
        "input": &*pair.input.name, "output": &*pair.output.name, "error": error,
    });
    let _ = write!(out, "{value}");
}

/// The result of one pair. A closed pipe is no error.
pub(super) fn write(
    out: &mut impl Write,
    job: &Job<'_>,
    pair: &Pair<'_>,
    compared: &Compared,
) -> anyhow::Result<()> {
    let findings = &compared.findings;
    let time = |millis: i64| Time::from_nanos(millis.saturating_mul(1_000_000));
    let head = Head {
        input: &pair.input.name,
        output: &pair.output.name,
        files: compared.files.iter().map(|file| &*file.path).collect(),
        first: compared.span.map(|(first, _)| time(first)),
        last: compared.span.map(|(_, last)| time(last)),
        delivered: compared.newest.map(Time::from_nanos),
        total: findings.total,
        beside: findings.beside,
    };
    let head = serde_json::to_string(&head)?;
    let _ = out.write_all(head.strip_suffix('}').unwrap_or(&head).as_bytes());
    let mut hours = List::begin(out, "hours");
    for (hour, tally) in &findings.hours {
        let hour = Time::from_nanos(hour.saturating_mul(HOUR));
        let _ = hours.put(&Hour { hour, tally: *tally });
    }
    hours.end();
    let mut missing = List::begin(out, "missing");
    describe::each(job, pair, compared, |noted, what| {
        missing.put(&event(compared, noted, Some(what))).is_ok()
    })?;
    missing.end();
    let mut different = List::begin(out, "different");
    let mut each = findings.each(Fault::Different)?;
    while let Some(noted) = each.next()?
        && different.put(&event(compared, &noted, None)).is_ok()
    {}
    different.end();
    let _ = out.write_all(b"}");
    Ok(())
}

fn event<'a>(compared: &'a Compared, noted: &Noted, what: Option<&'a Description>) -> Event<'a> {
    let generation = &compared.findings.generations[noted.generation as usize];
    Event {
        time: Time::from_nanos(noted.time),
        file: &generation.file,
        generation: generation.fingerprint.to_string(),
        offset: noted.offset,
        what,
    }
}

/// A member of the object that is an array.
struct List<'a, W: Write> {
    out: &'a mut W,
    some: bool,
}

impl<'a, W: Write> List<'a, W> {
    fn begin(out: &'a mut W, name: &str) -> Self {
        let _ = write!(out, ",\"{name}\":[");
        Self { out, some: false }
    }

    fn put(&mut self, value: &impl Serialize) -> io::Result<()> {
        if std::mem::replace(&mut self.some, true) {
            self.out.write_all(b",")?;
        }
        serde_json::to_writer(&mut *self.out, value)?;
        Ok(())
    }

    fn end(self) {
        let _ = self.out.write_all(b"]");
    }
}
