//! Tests of decisions, errors and warnings of policies, and comparisons with the API server's own evaluator.

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

/// Parses a policy, given without its first two lines.
fn parse(body: &str) -> Policy {
    Policy::parse(&format!("{HEAD}{body}"), Path::new("p.yaml"))
        .unwrap_or_else(|error| panic!("{error}\n{body}"))
}

/// The decision on each record of a line.
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

/// The level that a policy with these rules (a YAML list) gives to an event.
fn level(rules: &str, line: &str) -> Level {
    let policy = parse(&format!("rules: {rules}\n"));
    let [decision] = decisions(&policy, line)[..] else { panic!("one event: {line}") };
    decision.level
}
