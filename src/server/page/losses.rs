//! What is missing in a store: gaps, which stay, and dead letters, which wait for a decision.

use maud::{Markup, html};

use super::words::{cell, moment, next, table, utc};
use crate::telemetry::{GapSeen, PairView, Snapshot, human};

/// The most gaps shown; `status --json` has more.
const GAPS: usize = 20;

const GAP_COLUMNS: [(&str, bool); 6] = [
    ("Found", false),
    ("Output", false),
    ("Reason", false),
    ("Size", true),
    ("File", false),
    ("Between the events of", false),
];

const LETTER_COLUMNS: [(&str, bool); 5] = [
    ("Output", false),
    ("Dead letters", true),
    ("On disk", true),
    ("Oldest", false),
    ("Damaged", true),
];

pub(super) fn gaps(snapshot: &Snapshot) -> Markup {
    let list =
        |pair: &'_ PairView| pair.gaps.iter().map(|gap| (gap.count, gap.bytes)).collect::<Vec<_>>();
    let all: Vec<_> = snapshot.pairs.iter().flat_map(list).collect();
    let count = all.iter().fold(0_u64, |sum, (count, _)| sum.saturating_add(*count));
    let bytes = all.iter().fold(0_u64, |sum, (_, bytes)| sum.saturating_add(*bytes));
    let mut shown: Vec<_> = snapshot
        .pairs
        .iter()
        .flat_map(|pair| pair.last_gaps.iter().map(move |gap| (pair, gap)))
        .collect();
    shown.sort_by_key(|(_, gap)| std::cmp::Reverse(gap.detected));
    let rows =
        html! { @for (pair, gap) in shown.iter().take(GAPS) { (gap_row(snapshot, pair, gap)) } };
    html! {
        section aria-labelledby="gaps" {
            h2 id="gaps" { "Gaps" }
            @if count == 0 {
                p.nothing { "None. No part of the log is known to be lost." }
            } @else {
                p.sum {
                    (human::count(count)) " since the state directory was created, at least " (human::size(bytes)) "."
                    @if shown.len() > GAPS || (shown.len() as u64) < count { " The last ones:" }
                }
                (table("Gaps", &GAP_COLUMNS, &rows))
                (next(snapshot, "verify", "shows what the store lacks of what is still on disk"))
            }
        }
    }
}

fn gap_row(snapshot: &Snapshot, pair: &PairView, gap: &GapSeen) -> Markup {
    let span = [gap.from, gap.to].map(|time| time.map_or_else(|| "unknown".into(), utc));
    let size = human::size(gap.bytes);
    html! {
        tr role="row" {
            (cell("Found", false, moment(Some(gap.detected), snapshot.taken)))
            (cell("Output", false, &pair.output))
            (cell("Reason", false, &gap.reason))
            (cell("Size", true, html! { @if gap.at_least { "≥ " } (size) }))
            (cell("File", false, html! { span.path { (human::line(&gap.file, 200)) } }))
            (cell("Between the events of", false, html! { span.span { (span[0]) } " and " span.span { (span[1]) } }))
        }
    }
}

pub(super) fn dead_letters(snapshot: &Snapshot) -> Markup {
    let waits = |pair: &&PairView| {
        pair.dead_letters > 0 || pair.dead_letter_bytes > 0 || pair.waiting_events > 0
    };
    let pairs: Vec<_> = snapshot.pairs.iter().filter(waits).collect();
    let waiting: u64 = pairs.iter().map(|pair| pair.waiting_events).sum();
    html! {
        section aria-labelledby="dead-letters" {
            h2 id="dead-letters" { "Dead letters" }
            @if pairs.is_empty() {
                p.nothing { "None. No event was refused for its content, or all of them were dealt with." }
            } @else {
                (table("Dead letters", &LETTER_COLUMNS, &html! { @for pair in &pairs { (letter_row(snapshot, pair)) } }))
                (next(snapshot, "dead-letters list", "lists them with the store's answers"))
                (next(snapshot, "dead-letters resend", "sends them again once the store accepts them"))
                @if waiting > 0 {
                    (next(snapshot, "dead-letters set-aside", "turns the events that wait into dead letters"))
                }
            }
        }
    }
}

fn letter_row(snapshot: &Snapshot, pair: &PairView) -> Markup {
    html! {
        tr role="row" {
            th role="rowheader" scope="row" { (pair.output) span.sub { "from " (pair.input) } }
            (cell("Dead letters", true, html! {
                (human::count(pair.dead_letters))
                @if pair.waiting_events > 0 { span.sub { (human::count(pair.waiting_events)) " more events wait" } }
            }))
            (cell("On disk", true, human::size(pair.dead_letter_bytes)))
            (cell("Oldest", false, moment(pair.dead_letters_oldest, snapshot.taken)))
            (cell("Damaged", true, human::count(pair.dead_letters_damaged)))
        }
    }
}
