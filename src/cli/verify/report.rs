//! `verify` for people: a table with a line for each hour, then the missing events.

use std::fmt::Write as _;
use std::io::Write;

use super::describe;
use super::job::{Compared, Job, Pair};
use crate::output::{Capabilities, Comparable};
use crate::server;
use crate::telemetry::{Time, human};
use crate::verify::{Beside, Fault, Noted, Tally};

/// Events of each kind that are listed without `--all`.
const NAMED: usize = 20;
const TITLES: [&str; 7] =
    ["HOUR (UTC)", "ON DISK", "IN STORE", "MISSING", "DOUBLED", "EXTRA", "DIFFERENT"];
/// A note about Loki if events are missing.
const UNSEEN: &str =
    "  Loki shows what is older than its `query_ingesters_within` only once it has written it to its store: after a replay of
  old logs, verify again when it has, before --repair.\n";
const HOUR: i64 = 3_600_000;

/// Prints the result of one pair.
pub(super) fn write(
    out: &mut impl Write,
    job: &Job<'_>,
    pair: &Pair<'_>,
    compared: &Compared,
    all: bool,
) -> anyhow::Result<()> {
    let findings = &compared.findings;
    let mut text = head(pair, compared);
    let mut rows: Vec<_> =
        findings.hours.iter().map(|(hour, tally)| row(hour_text(*hour), tally)).collect();
    rows.push(row("total".to_owned(), &findings.total));
    let _ = write!(text, "\n{}", server::columns(&TITLES, rows));
    text.push_str(&beside(&findings.beside, compared));
    // A closed pipe is no error.
    let _ = out.write_all(text.as_bytes());
    let most = if all { usize::MAX } else { NAMED };
    missing(out, job, pair, compared, most)?;
    different(out, compared, most)?;
    let _ = out.write_all(b"\n");
    Ok(())
}

fn head(pair: &Pair<'_>, compared: &Compared) -> String {
    let mut text = format!("{} to {}", pair.input.name, pair.output.name);
    let files = match compared.files.len() {
        1 => "1 file".to_owned(),
        files => format!("{files} files"),
    };
    let _ = match compared.span {
        Some((first, last)) => {
            write!(text, ": {files}, {} to {}", stamp(first), stamp(last))
        }
        None => write!(text, ": {files}, no event that would have to be there"),
    };
    if compared.scopes > 1 {
        let _ = write!(text, ", in {} places of the store", compared.scopes);
    }
    text.push('\n');
    text
}

fn stamp(millis: i64) -> String {
    jiff::Timestamp::from_millisecond(millis).map(|at| format!("{at:.3}")).unwrap_or_default()
}

/// The start of an hour; hours are counted since 1970.
pub(super) fn hour_text(hour: i64) -> String {
    let at = jiff::Timestamp::from_millisecond(hour.saturating_mul(HOUR)).unwrap_or_default();
    at.strftime("%Y-%m-%d %H:00").to_string()
}

fn row(name: String, tally: &Tally) -> [String; 7] {
    let Tally { on_disk, in_store, missing, doubled, extra, different } = *tally;
    let numbers = [on_disk, in_store, missing, doubled, extra, different].map(human::count);
    let mut row = std::array::from_fn(|_| String::new());
    row[0] = name;
    row[1..].clone_from_slice(&numbers);
    row
}

/// The counts that are in no hour.
fn beside(beside: &Beside, compared: &Compared) -> String {
    let Beside { pending, refused, dropped, gaps, elsewhere } = *beside;
    let newest = compared.newest.map(Time::from_nanos);
    let newest = newest.map(|at| format!(" (it has come to {at:.3})")).unwrap_or_default();
    let lines = [
        (pending, format!("on disk, not delivered by the agent yet{newest}: left out")),
        (refused, "refused by the store: see `auditrail dead-letters list`".to_owned()),
        (dropped, "in the store, though `policy_file` or `where` leaves them out now".to_owned()),
        (gaps, "in the store that tell of a gap".to_owned()),
        (elsewhere, "in the store of other files, or of the last minute: left out".to_owned()),
    ];
    let mut text = String::new();
    for (count, what) in lines.into_iter().filter(|(count, _)| *count > 0) {
        let _ = writeln!(text, "{} {what}", human::count(count));
    }
    text
}

/// The position of an event, for people. The file name may contain anything, so it is escaped.
fn place(compared: &Compared, noted: &Noted) -> String {
    let generation = &compared.findings.generations[noted.generation as usize];
    let time = Time::from_nanos(noted.time);
    format!("{time:.6}  {}:{}", human::line(&generation.file, 200), noted.offset)
}

fn missing(
    out: &mut impl Write,
    job: &Job<'_>,
    pair: &Pair<'_>,
    compared: &Compared,
    most: usize,
) -> anyhow::Result<()> {
    let count = compared.findings.total.missing;
    if count == 0 {
        return Ok(());
    }
    let _ = out.write_all(b"\nmissing:\n");
    let mut named = 0;
    describe::each(job, pair, compared, |noted, what| {
        named += 1;
        let written = writeln!(out, "  {}  {what}", place(compared, noted));
        written.is_ok() && named < most
    })?;
    rest(out, count, named);
    if Capabilities::of(&pair.output.kind).comparable == Comparable::HidesRepeats {
        let _ = out.write_all(UNSEEN.as_bytes());
    }
    Ok(())
}

fn different(out: &mut impl Write, compared: &Compared, most: usize) -> anyhow::Result<()> {
    let count = compared.findings.total.different;
    if count == 0 {
        return Ok(());
    }
    let _ = out.write_all(b"\nstored with other content than would be sent now:\n");
    let mut each = compared.findings.each(Fault::Different)?;
    let mut named = 0;
    while named < most
        && let Some(noted) = each.next()?
        && writeln!(out, "  {}", place(compared, &noted)).is_ok()
    {
        named += 1;
    }
    rest(out, count, named);
    Ok(())
}

fn rest(out: &mut impl Write, count: u64, named: usize) {
    let more = count.saturating_sub(named as u64);
    if more > 0 {
        let _ = writeln!(out, "  and {} more: --all names them", human::count(more));
    }
}
