//! The status for a terminal: aligned columns that need no colour, without control sequences.

use std::fmt::Write as _;

use super::view;
use crate::telemetry::{InputView, PairView, Snapshot, Time, human};

/// Gaps shown for each pair; `--json` has more.
const GAPS: usize = 5;

/// The output of `auditrail status`.
pub(crate) fn table(snapshot: &Snapshot) -> String {
    let now = snapshot.taken;
    let mut text = heading(snapshot);
    remarks(&mut text, snapshot);
    if !snapshot.inputs.is_empty() {
        let titles = [
            "INPUT",
            "STATE",
            "READ",
            "EVENTS",
            "LAST EVENT",
            "LAST WRITE",
            "BACKUPS",
            "HELD",
            "WATCH",
        ];
        let mut rows: Vec<_> = snapshot.inputs.iter().map(|input| input_row(input, now)).collect();
        if !snapshot.running {
            blank(&mut rows, &[2, 3, 7, 8]);
        }
        let _ = write!(text, "\n{}", columns(&titles, rows));
        for input in &snapshot.inputs {
            for remark in view::input_remarks(input, now) {
                let _ = writeln!(text, "  ! {}: {remark}", human::line(&input.name, 60));
            }
        }
    }
    if !snapshot.pairs.is_empty() {
        let titles = [
            "INPUT",
            "OUTPUT",
            "STATE",
            "DELIVERED",
            "REFUSED",
            "DEAD LETTERS",
            "WAITING",
            "LAG",
            "LOSS IN",
            "LAST SUCCESS",
            "GAPS",
            "CURSOR",
        ];
        let mut rows: Vec<_> = snapshot.pairs.iter().map(|pair| pair_row(pair, now)).collect();
        if !snapshot.running {
            blank(&mut rows, &[2, 3, 4, 8, 9]);
        }
        let _ = write!(text, "\n{}", columns(&titles, rows));
        trails(&mut text, snapshot);
    }
    let disk = &snapshot.disk;
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "\ncheckpoint saved {}, {} in the state directory, at most {} of memory\n",
        view::ago(disk.checkpoint_saved, now),
        human::size(disk.state_bytes),
        human::size(snapshot.memory_bound_bytes)
    );
    text
}

/// The output of `auditrail status --quiet`: whether the agent is ready and each trail whole, and why not.
pub(crate) fn verdict(snapshot: &Snapshot) -> String {
    let mut text = heading(snapshot);
    remarks(&mut text, snapshot);
    for pair in &snapshot.pairs {
        trail(&mut text, pair);
    }
    text
}

/// What concerns the whole agent and needs a look.
fn remarks(text: &mut String, snapshot: &Snapshot) {
    if let Some(problem) = &snapshot.reload_problem {
        let _ = writeln!(text, "  ! configuration: {}", human::line(problem, 1000));
    }
    if let Some(what) = &snapshot.disk.checkpoint_forged {
        let _ = writeln!(
            text,
            "  ! checkpoint: one failed authentication and was not used ({}): find out who may write to the state directory",
            human::line(what, 1000)
        );
    }
}

/// Blanks the columns that only a running process has.
fn blank<const N: usize>(rows: &mut [[String; N]], columns: &[usize]) {
    for row in rows {
        for &column in columns {
            row[column] = "-".into();
        }
    }
}

/// Whether the trail of each pair is whole, and the last gaps if it is not.
fn trails(text: &mut String, snapshot: &Snapshot) {
    text.push('\n');
    for pair in &snapshot.pairs {
        trail(text, pair);
        for gap in pair.last_gaps.iter().rev().take(GAPS) {
            let _ = writeln!(text, "  gap {gap}");
        }
    }
}

fn trail(text: &mut String, pair: &PairView) {
    let (input, output) = (human::line(&pair.input, 60), human::line(&pair.output, 60));
    let _ = writeln!(text, "trail of {input} in {output}: {}", pair.trail);
}

fn heading(snapshot: &Snapshot) -> String {
    let mut text =
        format!("auditrail {} on {}", snapshot.version, human::line(&snapshot.node, 200));
    if let Some(cluster) = &snapshot.cluster {
        let _ = write!(text, " of {}", human::line(cluster, 200));
    }
    if snapshot.running {
        let age = human::duration(snapshot.taken.since(snapshot.started));
        let ready = if snapshot.ready { "ready" } else { "NOT READY" };
        let _ = writeln!(text, ": {ready}, up {age}");
    } else if let Some(saved) = snapshot.disk.checkpoint_saved {
        let age = view::ago(Some(saved), snapshot.taken);
        let _ = writeln!(
            text,
            ": NOT RUNNING; this is from the checkpoint of {saved:.0} ({age}), and from the directory as it is now"
        );
    } else {
        let _ = writeln!(text, ": NOT RUNNING, and it never wrote a checkpoint here");
    }
    if let Some(verdict) = &snapshot.verdict {
        let _ = writeln!(text, "trail {verdict}");
    }
    let told = snapshot.verdict.as_ref().map(|verdict| &verdict.why);
    for reason in snapshot.reasons.iter().filter(|reason| Some(*reason) != told) {
        let _ = writeln!(text, "  - {}", human::line(reason, 1000));
    }
    text
}

fn input_row(input: &InputView, now: Time) -> [String; 9] {
    [
        human::line(&input.name, 60),
        view::input_state(&input.state).into(),
        human::size(input.bytes),
        human::count(input.events),
        view::ago(input.last_event, now),
        view::ago(input.last_write, now),
        human::count(input.backups),
        human::size(input.hold_bytes),
        input.watch.to_string(),
    ]
}

fn pair_row(pair: &PairView, now: Time) -> [String; 12] {
    [
        human::line(&pair.input, 60),
        human::line(&pair.output, 60),
        view::pair_state(&pair.state).into(),
        human::count(pair.delivered),
        human::count(pair.refused),
        view::letters(pair),
        human::size(pair.lag_bytes),
        view::lag(pair),
        view::loss_in(pair),
        view::ago(pair.last_success, now),
        view::gaps(pair),
        pair.cursor.as_ref().map_or_else(|| "none".into(), view::place),
    ]
}

/// Columns two spaces apart, numbers right-aligned.
pub(crate) fn columns<const N: usize>(titles: &[&str; N], rows: Vec<[String; N]>) -> String {
    let mut text = String::new();
    let lines: Vec<_> = std::iter::once(titles.map(String::from)).chain(rows).collect();
    let wide =
        |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(wide);
    for line in &lines {
        let mut row = String::new();
        for ((cell, title), width) in line.iter().zip(titles).zip(widths) {
            let _ = match *title {
                "READ" | "EVENTS" | "DELIVERED" | "REFUSED" | "BACKUPS" | "HELD" | "WAITING"
                | "ALREADY THERE" | "LEFT OUT" | "ON DISK" | "IN STORE" | "MISSING" | "DOUBLED"
                | "EXTRA" | "DIFFERENT" | "SIZE" => {
                    write!(row, "{cell:>width$}  ")
                }
                _ => write!(row, "{cell:<width$}  "),
            };
        }
        text.push_str(row.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::tests::{at, busy};
    use std::time::Duration;

    #[test]
    fn the_table_shows_what_is_wrong_first_and_aligns_its_columns() {
        let mut snapshot = busy().snapshot(at(60), Duration::from_mins(1));
        snapshot.started = at(-11_000);
        assert_eq!(table(&snapshot), include_str!("table.txt"));
    }

    #[test]
    fn without_an_agent_the_table_says_so_and_claims_no_readiness() {
        let mut snapshot = busy().snapshot(at(60), Duration::from_mins(1));
        snapshot.running = false;
        let text = table(&snapshot);
        assert!(
            text.starts_with(
                "auditrail 0.1.0 on cp-1 of prod: NOT RUNNING; this is from the checkpoint of 2025-11-21T08:00:59Z (1s ago)"
            ),
            "{text}"
        );
        let cells = |name: &str| -> Vec<String> {
            let row = text.lines().rfind(|line| line.starts_with(name)).unwrap();
            row.split("  ")
                .map(str::trim)
                .filter(|cell| !cell.is_empty())
                .map(str::to_owned)
                .collect()
        };
        assert_eq!(cells("apiserver  loki")[2..5], ["-", "-", "-"], "{text}");
        assert!(!text.to_lowercase().contains("ready"), "{text}");
    }

    #[test]
    fn a_file_name_cannot_move_the_cursor_of_the_terminal() {
        let mut snapshot = busy().snapshot(at(60), Duration::from_mins(1));
        snapshot.pairs[0].cursor.as_mut().unwrap().file = Some("a\u{1b}[2J\n".into());
        snapshot.reasons[0] = "bad\u{1b}]0;title\u{7}".into();
        assert!(!table(&snapshot).contains(|c: char| c.is_control() && c != '\n'));
    }
}
