//! The outputs: one row for each pair of an input and an output.

use maud::{Markup, html};

use super::super::view;
use super::verdict::whole_answer;
use super::words::{badge, cell, moment, table};
use crate::telemetry::{PairState, PairView, Snapshot, human};

const COLUMNS: [(&str, bool); 8] = [
    ("Output", false),
    ("State", false),
    ("Delivered", true),
    ("Lag", true),
    ("Waiting", true),
    ("Loss in", true),
    ("Last success", false),
    ("Acknowledged up to", false),
];

pub(super) fn section(snapshot: &Snapshot) -> Markup {
    let rows = html! {
        @for (number, pair) in snapshot.pairs.iter().enumerate() { (row(snapshot, number, pair)) }
    };
    html! {
        section aria-labelledby="outputs" {
            h2 id="outputs" { "Outputs" }
            (table("Outputs", &COLUMNS, &rows))
        }
    }
}

fn row(snapshot: &Snapshot, number: usize, pair: &PairView) -> Markup {
    let mood = match pair.state {
        PairState::Running => "good",
        PairState::Retrying { .. } | PairState::Draining | PairState::NotRunning => "warn",
        PairState::Stopped { .. } => "bad",
    };
    let now = snapshot.taken;
    let retries: u64 = pair.retries.iter().map(|(_, n)| n).sum();
    html! {
        tr id={ "pair-" (number) } role="row" {
            th role="rowheader" scope="row" { (pair.output) span.sub { "from " (pair.input) } }
            (cell("State", false, badge(mood, view::pair_state(&pair.state))))
            (cell("Delivered", true, human::count(pair.delivered)))
            (cell("Lag", true, view::lag(pair)))
            (cell("Waiting", true, human::size(pair.lag_bytes)))
            (cell("Loss in", true, view::loss_in(pair)))
            (cell("Last success", false, moment(pair.last_success, now)))
            (cell("Acknowledged up to", false, cursor(pair)))
        }
        @if let Some(remark) = view::pair_remark(pair, now) {
            tr.remark id={ "pair-" (number) "-remark" } role="row" {
                td role="cell" colspan=(COLUMNS.len()) {
                    p { (remark) }
                    @if retries > 0 { p.sub { (human::count(retries)) " requests had to be tried again since the start" } }
                    (whole_answer(snapshot))
                }
            }
        }
    }
}

fn cursor(pair: &PairView) -> Markup {
    html! {
        @match &pair.cursor {
            None => span.none { "nothing yet" }
            Some(cursor) => span title={ "generation " (cursor.generation) } { (view::place(cursor)) }
        }
    }
}
