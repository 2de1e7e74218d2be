//! What a policy decides about an event, what is said of its traps, and whether the API server would agree.

use std::path::Path;

use crate::event::{Event, Record, Span, pieces};

use super::{Decision, Level, Policy};

mod differential;
mod evaluator;
mod loading;
mod matching;
mod random;
mod shadows;
mod traps;

const HEAD: &str = "apiVersion: audit.k8s.io/v1\nkind: Policy\n";

/// Reads what follows the first two lines of a policy.
fn parse(body: &str) -> Policy {
    Policy::parse(&format!("{HEAD}{body}"), Path::new("p.yaml"))
        .unwrap_or_else(|error| panic!("{error}\n{body}"))
}

/// Decides about each event of a line, or rather of its pieces.
fn decisions(policy: &Policy, line: &str) -> Vec<Decision> {
    let mut found = Vec::new();
    each_record(line.as_bytes(), |record| found.push(policy.decide(record)));
    found
}

fn each_record(line: &[u8], mut each: impl FnMut(&Record<'_>)) {
    pieces(line, true, |piece| {
        let line = &line[piece.at.range()];
        let event = Event {
            offset: 0,
            whole: piece.whole,
            form: piece.form,
            line: Span::new(0, line.len()),
            time: 0,
            fields: piece.fields,
            depth: piece.depth,
        };
        each(&Record { event: &event, line });
    });
}

/// The level that a policy with these rules, given as a YAML list, gives to an event.
fn level(rules: &str, line: &str) -> Level {
    let policy = parse(&format!("rules: {rules}\n"));
    let [decision] = decisions(&policy, line)[..] else { panic!("one event: {line}") };
    decision.level
}
