//! Preview (dry run): counts what the transform steps would do to a recorded log, with a few examples, so that an
//! operator can judge a policy before it ships.
//!
//! A removed value may be a secret. So the preview shows the original event only by its verb, kind of object,
//! namespace and stage, and by the number of bytes that were removed at each place. It takes the text around a change
//! from the event as it would leave the node.

use std::fmt;

use super::cuts::Cut;
use super::step::{ActionDetail, Done};
use super::steps::actions;
use crate::event::Record;

mod changes;

use changes::{PreviewChange, changes};

/// One row of the table, with its examples.
#[derive(Default)]
struct PreviewCount {
    events: u64,
    examples: Vec<String>,
}

/// Counts the events given to `TransformPreview::add`.
pub struct TransformPreview {
    /// By action.
    rows: Vec<PreviewCount>,
    untouched: u64,
    /// Most examples kept for each action.
    examples: usize,
    events: u64,
    bytes_before: u64,
    bytes_after: u64,
    values: u64,
    cuts: [u64; Cut::ALL.len()],
}

impl TransformPreview {
    /// Keeps at most this many examples for each action.
    pub fn new(examples: usize) -> Self {
        Self {
            rows: actions().map(|_| PreviewCount::default()).collect(),
            untouched: 0,
            examples,
            events: 0,
            bytes_before: 0,
            bytes_after: 0,
            values: 0,
            cuts: Default::default(),
        }
    }

    /// Adds an event as it was (`before`) and as it would leave the node (`after`; `None` if it is dropped).
    pub(super) fn add(&mut self, before: &Record<'_>, after: Option<&[u8]>, done: Done) {
        self.events += 1;
        self.bytes_before += before.line.len() as u64;
        self.bytes_after += after.map_or(0, |after| after.len() as u64);
        self.untouched += u64::from(after == Some(before.line));
        self.values += done.values as u64;
        for cut in done.cuts.iter() {
            self.cuts[cut as usize] += 1;
        }
        for (_, row) in self.rows.iter_mut().enumerate().filter(|(action, _)| done.has(*action)) {
            row.events += 1;
            if row.examples.len() < self.examples {
                row.examples.push(example(before, after));
            }
        }
    }
}

/// A few lines that show one event.
fn example(before: &Record<'_>, after: Option<&[u8]>) -> String {
    let f = &before.event.fields;
    let word = |span| before.text(span).map(|text| shown(&text)).unwrap_or_default();
    let subresource = Some(word(f.subresource)).filter(|name| !name.is_empty());
    let subresource = subresource.map(|name| format!("/{name}")).unwrap_or_default();
    let place = Some(word(f.namespace)).filter(|name| !name.is_empty());
    let place = place.map(|name| format!(" in {name}")).unwrap_or_default();
    let head =
        format!("{} {}{subresource}{place}, {}", word(f.verb), word(f.resource), word(f.stage));
    let Some(after) = after else { return head };
    let lines =
        changes(before.line, after, SHOWN).into_iter().map(|change| format!("\n      {change}"));
    let lengths = format!(": {} bytes become {}", before.line.len(), after.len());
    head + &lengths + &lines.collect::<String>()
}

/// Number of changes shown for one event.
const SHOWN: usize = 3;

/// A text from an event, safe for a terminal: control characters are replaced and its length is limited.
fn shown(text: &str) -> String {
    text.chars().take(48).map(|char| if char.is_control() { '.' } else { char }).collect()
}

impl fmt::Display for PreviewChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "...{}", shown(&self.left))?;
        if self.removed > 0 {
            write!(f, "[-{} bytes]", self.removed)?;
        }
        if !self.added.is_empty() {
            write!(f, "[+{}]", shown(&self.added))?;
        }
        write!(f, "{}...", shown(&self.right))
    }
}

impl fmt::Display for TransformPreview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<28}{:>10}", "events read", self.events)?;
        for (action, row) in actions().zip(&self.rows) {
            if row.events == 0 {
                continue;
            }
            let more = match action.detail {
                ActionDetail::Values => format!("   {} values", self.values),
                ActionDetail::Cuts => self.cut_counts(),
                ActionDetail::Nothing => String::new(),
            };
            writeln!(f, "{:<28}{:>10}{more}", action.line, row.events)?;
            for example in &row.examples {
                writeln!(f, "    {example}")?;
            }
        }
        if self.untouched > 0 {
            writeln!(f, "{:<28}{:>10}", "untouched", self.untouched)?;
        }
        write!(f, "{:<28}{:>10}   of {}", "bytes that leave", self.bytes_after, self.bytes_before)
    }
}

impl TransformPreview {
    fn cut_counts(&self) -> String {
        let counts = Cut::ALL.iter().zip(self.cuts).filter(|(_, count)| *count > 0);
        let counts: Vec<_> =
            counts.map(|(cut, count)| format!("{} {count}", cut.as_str())).collect();
        format!("   {}", counts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transform::record_tests::record;

    const LINE: &str = r#"{"level":"Request","stage":"ResponseComplete","verb":"create","objectRef":{"resource":"secrets","namespace":"a","name":"hidden-name"},"requestObject":{"kind":"Secret","data":{"password":"c2VjcmV0LXZhbHVl"},"type":"Opaque"}}"#;

    #[test]
    fn each_step_is_counted_and_shown_without_the_secret() {
        let mut tally = TransformPreview::new(1);
        let after = LINE.replace("c2VjcmV0LXZhbHVl", "[REDACTED]");
        record(LINE.as_bytes(), |record| {
            let mut done = Done { values: 1, ..Done::default() };
            done.add(actions().position(|action| action.line == "redacted").unwrap());
            tally.add(record, Some(after.as_bytes()), done);
            tally.add(record, Some(after.as_bytes()), done);
            tally.add(record, Some(record.line), Done::default());
            let mut dropped = Done::default();
            dropped
                .add(actions().position(|action| action.line == "dropped: stage omitted").unwrap());
            tally.add(record, None, dropped);
        });
        let text = tally.to_string();
        let expected = [
            "events read                          4",
            "dropped: stage omitted               1",
            "    create secrets in a, ResponseComplete",
            "redacted                             2   2 values",
            "    create secrets in a, ResponseComplete: 223 bytes become 217",
            r#"      ...t":{"kind":"Secret","data":{"password":"[-16 bytes][+[REDACTED]]"},"type":"Opaque"}}..."#,
            "untouched                            1",
            "bytes that leave                   657   of 892",
        ];
        assert_eq!(text, expected.join("\n"));
    }
}
