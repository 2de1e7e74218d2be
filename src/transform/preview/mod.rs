//! Preview (dry run): counts what the transform steps would do to a recorded log, with a few examples, so that an
//! operator can judge a policy before it ships.
//!
//! A removed value may be a secret, so the original event is shown only by its verb, kind of object, namespace and
//! stage, and by how many bytes were removed where. The text around a change is taken from the event as it would
//! leave the node.

use std::fmt;

use super::level::Level;
use super::shrink::{Cut, Cuts};
use crate::event::Record;

mod changes;

use changes::{PreviewChange, changes};

/// Why an event is dropped.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Dropped {
    Level,
    Stage,
    Where,
}

/// What the steps did to one event.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Done {
    pub(crate) dropped: Option<Dropped>,
    /// The level it was lowered to.
    pub(crate) lowered: Option<Level>,
    pub(crate) managed_fields: bool,
    /// Number of values replaced by redaction.
    pub(crate) blanked: usize,
    pub(crate) shrunk: Option<Cuts>,
    /// The `where` filter failed on the event, so it was kept.
    pub(crate) filter_failed: bool,
}

/// One row of the table, with its examples.
#[derive(Default)]
struct PreviewCount {
    events: u64,
    examples: Vec<String>,
}

/// The rows, in the order of the table.
#[derive(Clone, Copy)]
enum PreviewRow {
    Level,
    Stage,
    Where,
    WhereFailed,
    Metadata,
    Request,
    ManagedFields,
    Redacted,
    Shrunk,
    Untouched,
}

const STEPS: [(PreviewRow, &str); 10] = [
    (PreviewRow::Level, "dropped: policy level None"),
    (PreviewRow::Stage, "dropped: stage omitted"),
    (PreviewRow::Where, "dropped: where"),
    (PreviewRow::WhereFailed, "kept: where failed"),
    (PreviewRow::Metadata, "lowered to Metadata"),
    (PreviewRow::Request, "lowered to Request"),
    (PreviewRow::ManagedFields, "managedFields cut"),
    (PreviewRow::Redacted, "redacted"),
    (PreviewRow::Shrunk, "shrunk"),
    (PreviewRow::Untouched, "untouched"),
];

/// Counts the events given to [`TransformPreview::add`].
pub(crate) struct TransformPreview {
    rows: [PreviewCount; STEPS.len()],
    /// Examples kept for each step.
    examples: usize,
    events: u64,
    bytes_before: u64,
    bytes_after: u64,
    blanked: u64,
    cuts: [u64; Cut::ALL.len()],
}

impl TransformPreview {
    pub(crate) fn new(examples: usize) -> Self {
        Self {
            rows: Default::default(),
            examples,
            events: 0,
            bytes_before: 0,
            bytes_after: 0,
            blanked: 0,
            cuts: Default::default(),
        }
    }

    /// Adds an event as it was (`before`) and as it would leave the node (`after`; `None` if it is dropped).
    pub(crate) fn add(&mut self, before: &Record<'_>, after: Option<&[u8]>, done: &Done) {
        self.events += 1;
        self.bytes_before += before.line.len() as u64;
        self.bytes_after += after.map_or(0, |after| after.len() as u64);
        self.blanked += done.blanked as u64;
        for cut in done.shrunk.into_iter().flat_map(Cuts::iter) {
            self.cuts[cut as usize] += 1;
        }
        for (step, _) in STEPS {
            if !acted(step, done, before.line, after) {
                continue;
            }
            let row = &mut self.rows[step as usize];
            row.events += 1;
            let wanted =
                row.examples.len() < self.examples && !matches!(step, PreviewRow::Untouched);
            if wanted {
                row.examples.push(example(before, after));
            }
        }
    }
}

fn acted(step: PreviewRow, done: &Done, before: &[u8], after: Option<&[u8]>) -> bool {
    match step {
        PreviewRow::Level => done.dropped == Some(Dropped::Level),
        PreviewRow::Stage => done.dropped == Some(Dropped::Stage),
        PreviewRow::Where => done.dropped == Some(Dropped::Where),
        PreviewRow::WhereFailed => done.filter_failed,
        PreviewRow::Metadata => done.lowered == Some(Level::Metadata),
        PreviewRow::Request => done.lowered == Some(Level::Request),
        PreviewRow::ManagedFields => done.managed_fields,
        PreviewRow::Redacted => done.blanked > 0,
        PreviewRow::Shrunk => done.shrunk.is_some(),
        PreviewRow::Untouched => after == Some(before),
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
        for (step, name) in STEPS {
            let row = &self.rows[step as usize];
            if row.events == 0 {
                continue;
            }
            let more = match step {
                PreviewRow::Redacted => format!("   {} values", self.blanked),
                PreviewRow::Shrunk => self.cut_counts(),
                _ => String::new(),
            };
            writeln!(f, "{name:<28}{:>10}{more}", row.events)?;
            for example in &row.examples {
                writeln!(f, "    {example}")?;
            }
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
            let done = Done { blanked: 1, ..Done::default() };
            tally.add(record, Some(after.as_bytes()), &done);
            tally.add(record, Some(after.as_bytes()), &done);
            tally.add(record, Some(record.line), &Done::default());
            let dropped = Done { dropped: Some(Dropped::Stage), ..Done::default() };
            tally.add(record, None, &dropped);
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
