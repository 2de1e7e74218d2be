//! The inputs: the logs, whether they are written to, and what the hold keeps of them.

use maud::{Markup, html};

use super::super::view;
use super::verdict::judged;
use super::words::{badge, budget, cell, moment, next, table};
use crate::telemetry::{InputFinding, InputView, Snapshot, human};

const COLUMNS: [(&str, bool); 7] = [
    ("Input", false),
    ("State", false),
    ("Last write", false),
    ("Last event", false),
    ("Events", true),
    ("Backups", true),
    ("Hold", false),
];

pub(super) fn section(snapshot: &Snapshot) -> Markup {
    let rows = html! {
        @for (number, input) in snapshot.inputs.iter().enumerate() { (row(snapshot, number, input)) }
    };
    html! {
        section aria-labelledby="inputs" {
            h2 id="inputs" { "Inputs" }
            (table("Inputs", &COLUMNS, &rows))
        }
    }
}

fn row(snapshot: &Snapshot, number: usize, input: &InputView) -> Markup {
    let now = snapshot.taken;
    let known = snapshot.in_force.as_ref();
    let known = known.and_then(|all| all.inputs.iter().find(|known| known.name == input.name));
    let mood = match input.findings.first() {
        Some(finding) if finding.is_failure() => "bad",
        Some(_) => "warn",
        None => judged(input, now).0,
    };
    html! {
        tr id={ "input-" (number) } role="row" {
            th role="rowheader" scope="row" {
                (input.name)
                @if let Some(known) = known { span.sub.path { (known.path) } }
            }
            (cell("State", false, badge(mood, view::input_state(&input.state))))
            (cell("Last write", false, moment(input.last_write, now)))
            (cell("Last event", false, moment(input.last_event, now)))
            (cell("Events", true, human::count(input.events)))
            (cell("Backups", true, human::count(input.backups)))
            (cell("Hold", false, hold(input, known.map(|known| known.hold_max_bytes))))
        }
        @for finding in &input.findings { (remark(snapshot, finding)) }
        (odd_lines(input))
    }
}

fn hold(input: &InputView, most: Option<u64>) -> Markup {
    html! {
        @match most {
            Some(0) => span.none { "off" }
            Some(most) => (budget(input.hold_bytes, most))
            None => (human::size(input.hold_bytes))
        }
    }
}

fn remark(snapshot: &Snapshot, finding: &InputFinding) -> Markup {
    html! {
        tr.remark role="row" {
            td role="cell" colspan=(COLUMNS.len()) {
                p { (finding.what) ": " (finding.hint) }
                (next(snapshot, "check", "looks at the log again"))
            }
        }
    }
}

/// Lines that were not whole events, if there were any.
fn odd_lines(input: &InputView) -> Markup {
    let odd = [
        ("torn lines", input.torn_lines),
        ("over-long lines", input.over_long_lines),
        ("unreadable lines", input.unreadable_lines),
        ("NUL bytes", input.hole_bytes),
    ];
    let odd: Vec<_> = odd.iter().filter(|(_, n)| *n > 0).collect();
    html! {
        @if !odd.is_empty() {
            tr.remark.calm role="row" {
                td role="cell" colspan=(COLUMNS.len()) {
                    p {
                        "Since the start: "
                        @for (at, (name, n)) in odd.iter().enumerate() {
                            @if at > 0 { ", " }
                            (human::count(*n)) " " (name)
                        }
                    }
                }
            }
        }
    }
}
