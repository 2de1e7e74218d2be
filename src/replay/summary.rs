//! The result of a replay: a table with a line for each file, and an exit code.

use std::fmt::Write as _;
use std::sync::Arc;

use super::job::Job;
use super::ship::Shipped;
use crate::config::{self, OutputKind};
use crate::event::Progress;
use crate::input::Listed;
use crate::pipeline::EventCount;
use crate::server;
use crate::telemetry::human;

const TITLES: [&str; 7] =
    ["FILE", "EVENTS", "DELIVERED", "ALREADY THERE", "REFUSED", "LEFT OUT", "STATE"];

/// How a replay ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ReplayResult {
    Done,
    /// Finished, but there are dead letters.
    DeadLetters,
    /// Something is not delivered yet, or cannot be read.
    Unfinished,
}

/// What to print.
pub(crate) struct ReplayReport {
    pub(crate) result: ReplayResult,
    /// The table; empty if the reader closed standard output early.
    pub(crate) text: String,
    /// Events went to standard output, so the table has to go to standard error.
    pub(crate) stdout_holds_events: bool,
}

/// The result of all rounds.
#[derive(Default)]
pub(super) struct Summary {
    rows: Vec<ReportRow>,
    unclean: bool,
    reader_gone: bool,
    /// Dead letters that are kept, of this run and of earlier ones.
    letters: u64,
}

/// One file at one output.
struct ReportRow {
    output: String,
    file: String,
    count: EventCount,
    state: FileState,
    /// Names of files that are equal to this one or to its beginning.
    copies: Vec<Arc<str>>,
    /// Joined gzip members, sent to an output that identifies an event by its position.
    has_other_positions: bool,
}

impl ReportRow {
    /// Its own line, and one for each copy. The replay sent nothing of a copy.
    fn lines(&self) -> Vec<[String; 7]> {
        let mut lines = vec![line(&self.file, self.count, self.state.text())];
        let of = human::line(&self.file, 80);
        lines.extend(self.copies.iter().map(|copy| {
            line(copy, EventCount::default(), &format!("a copy of {of}, or of its beginning"))
        }));
        lines
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum FileState {
    Done,
    /// An earlier run of the same command has shipped it.
    Earlier,
    /// A part of it cannot be read.
    Damaged,
    /// Shipped up to the last whole line, since it is the live log.
    UpToNow,
    Unfinished,
}

impl FileState {
    fn of(file: &Listed, reached: Option<&Progress>, earlier: bool, gaps: u64) -> Self {
        let complete = reached.is_some_and(|progress| progress.complete);
        let read = reached.is_some_and(|progress| progress.offset > 0);
        match (complete, gaps) {
            (true, 1..) => Self::Damaged,
            (true, 0) if earlier => Self::Earlier,
            (true, 0) => Self::Done,
            (false, _) if file.is_live() && (read || file.length() == 0) => Self::UpToNow,
            (false, _) => Self::Unfinished,
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Earlier => "done before",
            Self::Damaged => "damaged",
            Self::UpToNow => "up to now",
            Self::Unfinished => "not finished",
        }
    }
}

impl Summary {
    pub(super) fn add(&mut self, shipped: Vec<Shipped>) {
        // The number includes those of earlier rounds.
        self.letters = shipped.iter().map(|one| one.letters.count().letters).sum();
        for one in shipped {
            self.unclean |= !one.clean;
            self.reader_gone |= one.reader_gone;
            for file in &one.files {
                let (fingerprint, count) = (file.fingerprint(), one.counts.of(file.fingerprint()));
                let earlier = one.earlier.contains(&fingerprint);
                self.rows.push(ReportRow {
                    output: one.output.to_string(),
                    file: file.name().to_string(),
                    count,
                    state: FileState::of(file, one.reached.get(&fingerprint), earlier, count.gaps),
                    has_other_positions: one.by_position
                        && one.reached.get(&fingerprint).is_some_and(|progress| {
                            progress.complete && count.gaps == 0 && file.is_joined(progress.offset)
                        }),
                    copies: file.copies.clone(),
                });
            }
        }
    }

    /// What to print, and how it ended.
    pub(super) fn report(&self, job: &Job) -> ReplayReport {
        let is_stdout = |output: &config::Output| matches!(&output.kind, OutputKind::File(file) if file.path.as_os_str() == "-");
        ReplayReport {
            result: self.result(*job.stopped.borrow()),
            text: if self.reader_gone { String::new() } else { self.text(job) },
            stdout_holds_events: job.config.outputs.iter().any(is_stdout),
        }
    }

    /// `stopped`: a signal stopped it before it was done.
    fn result(&self, stopped: bool) -> ReplayResult {
        let undone =
            |row: &ReportRow| matches!(row.state, FileState::Unfinished | FileState::Damaged);
        if stopped || self.unclean || self.rows.iter().any(undone) {
            return ReplayResult::Unfinished;
        }
        if self.letters > 0 { ReplayResult::DeadLetters } else { ReplayResult::Done }
    }

    fn text(&self, job: &Job) -> String {
        let mut text = String::new();
        if self.rows.is_empty() {
            text.push_str("nothing to ship\n");
        }
        for output in &job.config.outputs {
            let rows: Vec<_> = self.rows.iter().filter(|row| *row.output == *output.name).collect();
            if rows.is_empty() {
                continue;
            }
            // Writing to a String cannot fail.
            let _ = write!(text, "outputs.{}", output.name);
            let total = rows.iter().fold(EventCount::default(), |sum, row| plus(sum, row.count));
            let mut lines: Vec<_> = rows.iter().flat_map(|row| row.lines()).collect();
            if rows.len() > 1 {
                lines.push(line(&format!("{} files", human::count(rows.len() as u64)), total, ""));
            }
            let _ = write!(text, "\n{}", server::columns(&TITLES, lines));
        }
        for note in self.notes(job) {
            let _ = write!(text, "\n{note}\n");
        }
        text
    }

    /// Hints that the numbers do not show.
    fn notes(&self, job: &Job) -> Vec<String> {
        let mut notes = Vec::new();
        let has = |state: FileState| self.rows.iter().any(|row| row.state == state);
        if self.rows.iter().any(|row| row.has_other_positions) {
            notes.push(
                "A file consists of several gzip members. Events behind the first member have other positions than in the server's log: \
                 Elasticsearch stores those again that it held already."
                    .to_owned(),
            );
        }
        if self.letters > 0 {
            let at = job.store.directory().display();
            notes.push(format!(
                "Refused events are kept as dead letters, {} so far: auditrail dead-letters --state {at} list",
                human::count(self.letters)
            ));
        }
        if has(FileState::Damaged) {
            notes.push(
                "Some of the log cannot be read; the unreadable parts were shipped as gap events."
                    .to_owned(),
            );
        }
        if has(FileState::Unfinished) {
            notes.push(
                "Not everything is shipped: the same command continues where this one stopped."
                    .to_owned(),
            );
        }
        notes
    }
}

fn line(file: &str, count: EventCount, state: &str) -> [String; 7] {
    let EventCount { events, left_out, found, refused, .. } = count;
    let [events, delivered, found, refused, left_out] =
        [events, count.delivered(), found, refused, left_out].map(human::count);
    [human::line(file, 80), events, delivered, found, refused, left_out, state.to_owned()]
}

fn plus(a: EventCount, b: EventCount) -> EventCount {
    EventCount {
        events: a.events + b.events,
        left_out: a.left_out + b.left_out,
        stored: a.stored + b.stored,
        found: a.found + b.found,
        refused: a.refused + b.refused,
        gaps: a.gaps + b.gaps,
    }
}
