//! What `auditrail status --verbose` shows below the table: the counts that an operator rarely needs.

use std::fmt::Write as _;

use super::view;
use crate::event::Label;
use crate::telemetry::{InputView, PairView, Snapshot, human};

/// The lines below the table.
pub(crate) fn details(snapshot: &Snapshot) -> String {
    let mut text = String::new();
    for input in &snapshot.inputs {
        input_details(&mut text, input);
    }
    for pair in &snapshot.pairs {
        pair_details(&mut text, pair, snapshot);
    }
    text
}

// Writing to a String cannot fail.
fn input_details(text: &mut String, input: &InputView) {
    let _ = writeln!(text, "\ninput {}", human::line(&input.name, 60));
    let files = [("generations", input.generations), ("links", input.pins)];
    counted(text, "files", files);
    let _ = writeln!(
        text,
        "  {:<13} {} by links, {} by links alone",
        "kept",
        human::size(input.pinned_bytes),
        human::size(input.hold_bytes)
    );
    let lines = [
        ("torn", input.torn_lines),
        ("over long", input.over_long_lines),
        ("unreadable", input.unreadable_lines),
        ("bytes of holes", input.hole_bytes),
    ];
    counted(text, "lines", lines);
}

fn pair_details(text: &mut String, pair: &PairView, snapshot: &Snapshot) {
    let (input, output) = (human::line(&pair.input, 60), human::line(&pair.output, 60));
    let _ = writeln!(text, "\n{input} to {output}");
    if let Some(remark) = view::pair_remark(pair, snapshot.taken) {
        let _ = writeln!(text, "  {:<13} {remark}", "state");
    }
    let events = [
        ("delivered", pair.delivered),
        ("dropped", pair.dropped),
        ("refused", pair.refused),
        ("waiting for the operator", pair.waiting_events),
    ];
    counted(text, "events", events);
    counted(text, "requests", [("in flight", pair.in_flight)]);
    labelled(text, "retries", &pair.retries);
    labelled(text, "look-ups", &pair.lookups);
    let gaps: Vec<_> = pair.gaps.iter().map(|gap| (gap.reason, gap.count)).collect();
    labelled(text, "gaps", &gaps);
    if let Some(cursor) = &pair.cursor {
        let generation = human::line(&cursor.generation, 32);
        let _ =
            writeln!(text, "  {:<13} {} of generation {generation}", "cursor", view::place(cursor));
    }
}

fn counted<const N: usize>(text: &mut String, title: &str, counts: [(&str, u64); N]) {
    let counts = counts.map(|(what, count)| format!("{} {what}", human::count(count)));
    let _ = writeln!(text, "  {title:<13} {}", counts.join(", "));
}

/// Counts by a label; `none` if all are 0.
fn labelled<L: Label>(text: &mut String, title: &str, counts: &[(L, u64)]) {
    let word = |(label, count): &(L, u64)| {
        format!("{} {}", human::count(*count), label.text().replace('_', " "))
    };
    let counts: Vec<_> = counts.iter().map(word).collect();
    let counts = if counts.is_empty() { "none".to_owned() } else { counts.join(", ") };
    let _ = writeln!(text, "  {title:<13} {counts}");
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::telemetry::tests::{at, busy};

    #[test]
    fn the_details_count_what_the_table_has_no_column_for() {
        let snapshot = busy().snapshot(at(60), Duration::from_mins(1));
        assert_eq!(details(&snapshot), include_str!("details.txt"));
    }
}
