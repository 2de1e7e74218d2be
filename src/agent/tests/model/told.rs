//! Reported gaps: separates gap events from those of the log, and compares them with the model.

use std::collections::BTreeSet;

use super::ideal::{Expected, Item, TORN};

/// One gap event.
#[derive(Clone, Debug)]
pub(super) struct Told {
    id: String,
    reason: String,
    bytes: u64,
}

/// Parses a stored line or document; `None` if it is an event of the log.
pub(super) fn told(line: &str) -> Option<Told> {
    // In a document that holds the line as a string, the quotes are escaped.
    let line = line.replace('\\', "");
    if !line.contains(r#""kind":"Gap""#) {
        return None;
    }
    let after = |key: &str| line.split_once(&format!("\"{key}\":")).map(|(_, rest)| rest);
    let text = |key: &str| after(key)?.strip_prefix('"')?.split('"').next().map(str::to_owned);
    let bytes = after("bytes").or_else(|| after("bytes_at_least"))?;
    let bytes = bytes.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()?;
    Some(Told { id: text("auditID")?, reason: text("reason")?, bytes })
}

/// Whether each gap was reported once.
pub(super) fn once(told: &[Told]) -> Result<(), String> {
    let ids: BTreeSet<_> = told.iter().map(|told| &told.id).collect();
    if ids.len() < told.len() { Err(format!("a gap was told twice: {told:?}")) } else { Ok(()) }
}

/// The errors in the gaps that one output received, given the items that it holds. `killed`: events that were stored
/// just before a kill may be reported as lost, too, since no answer arrived. `spoilt`: how often the record of
/// reported gaps was lost with a checkpoint.
pub(super) fn compare(
    told: &[Told],
    arrived: &[Item],
    expected: &Expected,
    killed: bool,
    spoilt: u64,
) -> Result<(), String> {
    once(told)?;
    let there: BTreeSet<_> = arrived.iter().collect();
    let torn = |item: &&&Item| matches!(item, Item::Torn(_));
    let (sure, all) = (
        there.iter().filter(|item| expected.must.contains(item)).filter(torn).count(),
        there.iter().filter(torn).count(),
    );
    let lost: u64 = expected
        .may
        .iter()
        .flatten()
        .filter(|(item, _)| killed || !there.contains(item))
        .map(|(_, bytes)| bytes)
        .sum();
    let holes = expected.holes;
    let bounds = [
        ("torn_line", TORN * sure as u64, TORN * all as u64),
        ("nul_hole", holes.0, holes.0 + holes.1),
        ("backup_gone", 0, lost + holes.1),
    ];
    for (reason, least, most) in bounds {
        let most = most * (1 + spoilt);
        let bytes: u64 =
            told.iter().filter(|told| told.reason == reason).map(|told| told.bytes).sum();
        if bytes < least || bytes > most {
            return Err(format!("{reason}: {bytes} bytes instead of {least} to {most}: {told:?}"));
        }
    }
    match told.iter().find(|told| bounds.iter().all(|(reason, ..)| told.reason != *reason)) {
        Some(told) => Err(format!("nothing of the kind happened: {told:?}")),
        None => Ok(()),
    }
}
