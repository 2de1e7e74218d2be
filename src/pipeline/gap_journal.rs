//! The gap journal. The pipeline enters each gap in the ledger, has it written with the checkpoint, and then sends
//! it. Only then may the cursor pass the gap.
//!
//! Gaps are sent in the order they were found. If many wait, one request takes many: ten thousand backups deleted at
//! once do not need ten thousand checkpoints. A file output takes one gap at a time, before the events that follow
//! it, since after a crash the file is truncated to the length in the checkpoint.

use std::collections::VecDeque;
use std::sync::Arc;

use super::backoff::Backoff;
use super::chunk_task::TaskEnd;
use super::context::DeliveryContext;
use super::delivery::{Delivery, DeliveryStep};
use super::flow::AHEAD;
use super::in_doubt::InDoubt;
use crate::checkpoint::Ledger;
use crate::config::Retry;
use crate::event::{
    Extent, Fingerprint, GapFacts, GapPlace, GapReason, GapRecord, Nanos, RecordKind,
};
use crate::input::{Chunk, Damage, Gap};
use crate::telemetry::Time;

/// The gaps of one pipeline that are in the ledger and not delivered yet.
pub(super) struct GapJournal {
    context: Arc<DeliveryContext>,
    ledger: Arc<Ledger>,
    retry: Retry,
    /// A replay finds the same gaps each time, and any of them may be stored already.
    is_replay: bool,
    waiting: VecDeque<WaitingGap>,
    /// A task sends gaps. There is one at a time.
    under_way: bool,
}

struct WaitingGap {
    gap: GapRecord,
    /// `None`: the cursor does not wait for it.
    ticket: Option<u64>,
    /// An earlier process may have sent it.
    doubt: bool,
}

impl GapJournal {
    /// Takes the gaps that an earlier process wrote down. They are sent as recorded, whether or not they are found
    /// again.
    pub(super) fn new(
        context: &Arc<DeliveryContext>,
        ledger: &Arc<Ledger>,
        retry: Retry,
        is_replay: bool,
    ) -> Self {
        let known = ledger.with_gaps(<[GapRecord]>::to_vec);
        let waiting = known.into_iter().filter(|gap| !gap.delivered);
        let waiting = waiting.map(|gap| WaitingGap { gap, ticket: None, doubt: true }).collect();
        let (context, ledger) = (Arc::clone(context), Arc::clone(ledger));
        Self { context, ledger, retry, is_replay, waiting, under_way: false }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && !self.under_way
    }

    /// The record of a gap that was found; `None` if an earlier process recorded it.
    pub(super) fn record(&self, gap: &Gap) -> Option<GapRecord> {
        self.context.reporter.damaged(gap.generation);
        let (extent, altered) = match gap.reason {
            GapReason::Truncated => (Extent::Replaced, gap.progress.alterations.saturating_sub(1)),
            _ => (Extent::Rest, gap.progress.alterations),
        };
        let (generation, reason) = (gap.generation, gap.reason.to_string());
        let mut place = GapPlace { generation, altered, offset: gap.offset, extent, reason };
        let &Gap { bytes, at_least, from, to, .. } = gap;
        let mut facts = GapFacts { bytes, at_least, from, to, ..self.facts(&gap.file) };
        place.extent = self.ledger.with_gaps(|known| unknown_extent(known, &place))?;
        if let Extent::To(end) = place.extent {
            (facts.bytes, facts.at_least) = (end - place.offset, false);
        }
        self.record_at(place, gap.reason, facts)
    }

    /// The records of the damage in a chunk, one for each reason, without what an earlier process recorded. `read`:
    /// the time of the last event before the chunk.
    pub(super) fn record_damage(&self, chunk: &mut Chunk, read: Option<Nanos>) -> Vec<GapRecord> {
        let mut damage = std::mem::take(&mut chunk.told.damage);
        let (generation, altered) = (chunk.generation, chunk.progress.alterations);
        let place = |damage: &Damage| GapPlace {
            generation,
            altered,
            offset: damage.offset,
            extent: Extent::To(damage.end),
            reason: damage.reason.to_string(),
        };
        self.ledger.with_gaps(|gaps| {
            damage.retain(|damage| !gaps.iter().any(|gap| gap.place.covers(&place(damage))));
        });
        let records = coalesced(damage).into_iter().filter_map(|one| {
            self.context.reporter.damaged(generation);
            let (from, to) = around(chunk, &one);
            let (bytes, times, from) = (one.bytes, one.times, from.or(read));
            let facts = GapFacts { bytes, times, from, to, ..self.facts(&chunk.file) };
            self.record_at(place(&one), one.reason, facts)
        });
        records.collect()
    }

    /// The facts about a gap in this file, as far as they are the same for each.
    fn facts<'a>(&'a self, file: &'a str) -> GapFacts<'a> {
        GapFacts {
            names: self.context.reporter.names(),
            file,
            bytes: 0,
            at_least: false,
            times: 1,
            from: None,
            to: None,
        }
    }

    fn record_at(
        &self,
        place: GapPlace,
        reason: GapReason,
        facts: GapFacts<'_>,
    ) -> Option<GapRecord> {
        self.context.reporter.gap(reason, place.offset, facts);
        let message = message(reason, place.offset, &facts);
        // A replay takes the time of the lost events, so that the gap is the same one whenever a replay finds it.
        let then = facts.from.or(facts.to).filter(|_| self.is_replay);
        let now = then.unwrap_or_else(|| Time::now().nanos());
        GapRecord::new(place, facts, &message, now)
            .inspect_err(|error| tracing::error!(%error, "a gap cannot be written as JSON"))
            .ok()
    }

    /// Enters a gap in the ledger. It is sent once a checkpoint holds it.
    pub(super) fn enter(&mut self, gap: GapRecord, ticket: u64) {
        self.ledger.enter_gap(gap.clone());
        self.waiting.push_back(WaitingGap { gap, ticket: Some(ticket), doubt: self.is_replay });
    }

    /// The task that sends the next waiting gaps, if none is sent now.
    pub(super) fn next_request(
        &mut self,
        doubts: &InDoubt,
    ) -> Option<impl Future<Output = TaskEnd> + Send + use<>> {
        let doubt = self.waiting.front().filter(|_| !self.under_way)?.doubt;
        let most = if self.context.is_ordered() { 1 } else { AHEAD };
        let alike = self.waiting.iter().take_while(|gap| gap.doubt == doubt).count().min(most);
        let (mut gaps, mut tickets) = (Vec::new(), Vec::new());
        for WaitingGap { gap, ticket, .. } in self.waiting.drain(..alike) {
            tickets.extend(ticket);
            gaps.push(gap);
        }
        self.under_way = true;
        let (context, ledger) = (Arc::clone(&self.context), Arc::clone(&self.ledger));
        let earlier = doubt.then(|| doubts.earlier());
        let backoff = Backoff::new(self.retry);
        Some(async move {
            ledger.gaps_written().await;
            let batch = GapRecord::batch(&gaps);
            let mut delivery = Delivery::new(&context.output, &batch, backoff, earlier);
            while let DeliveryStep::Wait(until) = delivery.step(&context, &batch).await {
                tokio::time::sleep_until(until.into()).await;
            }
            let ids = gaps.iter().map(|gap| gap.id).collect();
            TaskEnd::GapsDelivered { tickets, ids, mark: context.file_mark() }
        })
    }

    /// The gaps that were being sent are delivered.
    pub(super) fn delivered(&mut self, ids: &[Fingerprint]) {
        self.under_way = false;
        self.ledger.gaps_delivered(ids);
    }
}

/// The extent of the part of a gap that is not recorded yet, if any: before a kill, the earlier process may have
/// recorded the end of the gap.
fn unknown_extent(known: &[GapRecord], place: &GapPlace) -> Option<Extent> {
    if known.iter().any(|gap| gap.place.covers(place)) {
        return None;
    }
    let later = known.iter().map(|gap| &gap.place).filter(|known| {
        (known.generation, known.altered) == (place.generation, place.altered)
            && (known.extent, place.extent) == (Extent::Rest, Extent::Rest)
            && known.offset > place.offset
    });
    Some(later.map(|known| known.offset).min().map_or(place.extent, Extent::To))
}

/// The time of the last event before the damage in a chunk, and of the first after it.
fn around(chunk: &Chunk, damage: &Damage) -> (Option<Nanos>, Option<Nanos>) {
    let events = || chunk.batch.events.iter().filter(|event| event.whole == RecordKind::Event);
    let before = events().take_while(|event| event.offset < damage.offset).last();
    let after = events().find(|event| event.offset >= damage.end);
    (before.map(|event| event.time), after.map(|event| event.time))
}

/// The time that a gap spans, as far as it is known.
fn span(facts: &GapFacts<'_>) -> String {
    let time = |nanos: Nanos| format!("{:.3}", Time::from_nanos(nanos));
    match (facts.from.map(time), facts.to.map(time)) {
        (Some(from), Some(to)) => format!(", written between {from} and {to}"),
        (Some(from), None) => format!(", written after {from}"),
        (None, Some(to)) => format!(", written before {to}"),
        (None, None) => String::new(),
    }
}

/// The message of a gap, for people.
fn message(reason: GapReason, offset: u64, facts: &GapFacts<'_>) -> String {
    let &GapFacts { file, bytes, at_least, times, .. } = facts;
    let least = if at_least { "at least " } else { "" };
    let span = span(facts);
    match reason {
        GapReason::BackupGone if at_least && bytes == 0 => {
            format!(
                "what followed offset {offset} of {file}, in it or in files after it, was gone before it could be read: nobody knows how many bytes are lost{span}"
            )
        }
        GapReason::BackupGone => {
            format!(
                "{file} was gone before all of it was delivered: {least}{bytes} bytes from offset {offset} on are lost{span}"
            )
        }
        GapReason::BudgetSpent => {
            format!(
                "{file} was let go when the room for pins was spent: {least}{bytes} bytes from offset {offset} on are lost{span}"
            )
        }
        GapReason::DamagedGzip => {
            format!(
                "{file} is damaged: what follows offset {offset} cannot be decompressed, {least}{bytes} compressed bytes are lost"
            )
        }
        GapReason::TornLine => {
            format!(
                "the end of {times} lines of {file} was never written: of {bytes} bytes from offset {offset} on the rest is lost"
            )
        }
        GapReason::NulHole => {
            format!("{file} has {bytes} NUL bytes where lines should be, from offset {offset} on")
        }
        GapReason::OverLongLine => {
            format!(
                "{times} lines of {file} are longer than max_line_bytes: of {bytes} bytes from offset {offset} on the bodies are left out"
            )
        }
        GapReason::NoEvents => {
            format!(
                "{file} goes on and on without an event: what follows offset {offset} was not read, {least}{bytes} bytes of the file"
            )
        }
        GapReason::Truncated => {
            format!(
                "{file} shrank or was replaced below offset {offset}: {least}{bytes} bytes are lost, what it holds now is read anew"
            )
        }
    }
}

/// One gap for each reason, from its first stretch to its last.
fn coalesced(damage: Vec<Damage>) -> Vec<Damage> {
    let mut all: Vec<Damage> = Vec::new();
    for one in damage {
        match all.iter_mut().find(|other| other.reason == one.reason) {
            Some(other) => {
                other.end = one.end;
                other.bytes += one.bytes;
                other.times += one.times;
            }
            None => all.push(one),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::RecordNames;

    #[test]
    fn a_gap_says_which_time_it_spans_even_where_nobody_knows_its_bytes() {
        let text = |bytes, at_least, from, to| {
            let facts = GapFacts {
                names: RecordNames { node: "n", cluster: None, input: "api", output: "loki" },
                file: "audit.log",
                bytes,
                at_least,
                times: 1,
                from,
                to,
            };
            message(GapReason::BackupGone, 9, &facts)
        };
        let whole = text(0, true, Some(0), Some(2_000_000_000));
        assert!(whole.contains("nobody knows how many bytes"), "{whole}");
        let span = "between 1970-01-01T00:00:00.000Z and 1970-01-01T00:00:02.000Z";
        assert!(whole.ends_with(span), "{whole}");
        assert!(text(5, false, None, Some(0)).contains(": 5 bytes from offset 9"));
        assert!(!text(5, false, None, None).contains("written"));
    }
}
