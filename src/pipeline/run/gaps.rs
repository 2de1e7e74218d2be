//! Delivers gap records: each gap is entered in the ledger, written with the checkpoint, then sent; only then may the
//! cursor pass it.
//!
//! Gaps are sent in the order they were found. If many wait, one request takes many: ten thousand backups deleted at
//! once do not need ten thousand checkpoints. A file output takes one gap at a time, before the events that follow
//! it, since after a crash the file is truncated to the length in the checkpoint.

use std::collections::VecDeque;
use std::sync::Arc;

use super::super::backoff::Backoff;
use super::super::delivery::{Delivery, DeliveryStep};
use super::{AHEAD, Outcome, PendingAck, Pipeline, file_mark};
use crate::event::{
    Extent, Fingerprint, GapFacts, GapPlace, GapRecord, Nanos, Progress, RecordKind,
};
use crate::input::{Chunk, Damage, Gap};
use crate::telemetry::{GapReason, Time};

/// Gaps that are in the ledger and not sent yet.
#[derive(Default)]
pub(super) struct Gaps {
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

impl Gaps {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && !self.under_way
    }
}

impl Pipeline {
    /// Takes the gaps that an earlier process wrote down. They are sent as recorded, whether or not they are found
    /// again.
    pub(super) fn take_up_gaps(&mut self) {
        let known = self.ledger.with_gaps(<[GapRecord]>::to_vec);
        for gap in known.into_iter().filter(|gap| !gap.delivered) {
            self.gaps.waiting.push_back(WaitingGap { gap, ticket: None, doubt: true });
        }
    }

    /// A stretch that cannot be read any more: reports the gap and passes it in its turn.
    pub(super) fn pass_gap(&mut self, gap: Gap) {
        self.give_up_returned(gap.generation);
        self.context.tell.damaged(gap.generation);
        self.read.insert(gap.generation, gap.progress.clone());
        let (extent, altered) = match gap.reason {
            GapReason::Truncated => (Extent::Replaced, gap.progress.alterations.saturating_sub(1)),
            _ => (Extent::Rest, gap.progress.alterations),
        };
        let reason = gap.reason.to_string();
        let place =
            GapPlace { generation: gap.generation, altered, offset: gap.offset, extent, reason };
        let what = NewGap {
            reason: gap.reason,
            file: Arc::clone(&gap.file),
            bytes: gap.bytes,
            at_least: gap.at_least,
            times: 1,
            from: gap.from,
            to: gap.to,
        };
        let known =
            self.unknown_part(place, what).and_then(|(place, what)| self.record(place, &what));
        let ticket = self.acks.enter(PendingAck {
            generation: gap.generation,
            progress: Some(gap.progress),
            bytes: 0,
            file: gap.file,
            first_event: None,
            mark: None,
        });
        match known {
            Some(gap) => self.enter_gap(gap, Some(ticket)),
            // An earlier process wrote the gap down, so the cursor does not wait for more.
            None => self.pass(ticket),
        }
    }

    /// The part of a gap that is not recorded yet: before a kill the earlier process may have recorded the end of it.
    fn unknown_part(&self, place: GapPlace, what: NewGap) -> Option<(GapPlace, NewGap)> {
        self.ledger.with_gaps(|gaps| {
            if gaps.iter().any(|gap| gap.place.covers(&place)) {
                return None;
            }
            let later = gaps.iter().map(|gap| &gap.place).filter(|known| {
                (known.generation, known.altered) == (place.generation, place.altered)
                    && (known.extent, place.extent) == (Extent::Rest, Extent::Rest)
                    && known.offset > place.offset
            });
            let Some(end) = later.map(|known| known.offset).min() else {
                return Some((place, what));
            };
            let what = NewGap { bytes: end - place.offset, at_least: false, ..what };
            Some((GapPlace { extent: Extent::To(end), ..place }, what))
        })
    }

    /// Enters the damage in a chunk as gaps, one for each reason, before the chunk; returns whether there is any.
    pub(super) fn pass_damage(&mut self, chunk: &mut Chunk) -> bool {
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
        let mut any = false;
        for one in coalesced(damage) {
            let (from, to) = self.around(chunk, &one);
            let Damage { reason, bytes, times, .. } = one;
            let file = Arc::clone(&chunk.file);
            let what = NewGap { reason, file, bytes, at_least: false, times, from, to };
            self.context.tell.damaged(generation);
            let Some(gap) = self.record(place(&one), &what) else { continue };
            let ticket = self.acks.enter(PendingAck {
                generation,
                // The chunk behind the gap says how far the cursor moves.
                progress: None,
                bytes: 0,
                file: Arc::clone(&chunk.file),
                first_event: None,
                mark: None,
            });
            self.enter_gap(gap, Some(ticket));
            any = true;
        }
        any
    }

    /// The time of the last event before the damage in a chunk, and of the first after it.
    fn around(&self, chunk: &Chunk, damage: &Damage) -> (Option<Nanos>, Option<Nanos>) {
        let events = || chunk.batch.events.iter().filter(|event| event.whole == RecordKind::Event);
        let before = events().take_while(|event| event.offset < damage.offset).last();
        let after = events().find(|event| event.offset >= damage.end);
        let read =
            || self.read.get(&chunk.generation).and_then(|progress: &Progress| progress.time);
        (before.map(|event| event.time).or_else(read), after.map(|event| event.time))
    }

    fn record(&self, place: GapPlace, what: &NewGap) -> Option<GapRecord> {
        let tell = &self.context.tell;
        let facts = GapFacts {
            node: &tell.identity().node,
            cluster: tell.identity().cluster.as_deref(),
            input: &tell.input,
            output: &tell.output,
            file: &what.file,
            bytes: what.bytes,
            at_least: what.at_least,
            times: what.times,
            from: what.from,
            to: what.to,
        };
        tell.gap(what.reason, place.offset, facts);
        let message = what.message(place.offset);
        // A replay takes the time of the lost events, so that the gap is the same one whenever a replay finds it.
        let then = what.from.or(what.to).filter(|_| self.input.is_finite());
        let now = then.unwrap_or_else(|| Time::now().nanos());
        GapRecord::new(place, facts, &message, now)
            .inspect_err(|error| tracing::error!(%error, "a gap cannot be put into words"))
            .ok()
    }

    fn enter_gap(&mut self, gap: GapRecord, ticket: Option<u64>) {
        self.ledger.enter_gap(gap.clone());
        self.gaps.waiting.push_back(WaitingGap { gap, ticket, doubt: self.input.is_finite() });
    }

    /// Sends the waiting gaps as soon as there is a slot.
    pub(super) fn ship_gaps(&mut self) {
        let Some(doubt) = self.gaps.waiting.front().map(|first| first.doubt) else { return };
        if self.gaps.under_way || !self.has_slot() {
            return;
        }
        let most = if self.context.output.capabilities().ordered { 1 } else { AHEAD };
        let alike = self.gaps.waiting.iter().take_while(|gap| gap.doubt == doubt).count().min(most);
        let (mut gaps, mut tickets) = (Vec::new(), Vec::new());
        for WaitingGap { gap, ticket, .. } in self.gaps.waiting.drain(..alike) {
            tickets.extend(ticket);
            gaps.push(gap);
        }
        self.gaps.under_way = true;
        let (context, ledger) = (Arc::clone(&self.context), Arc::clone(&self.ledger));
        let earlier = doubt.then(|| (Arc::clone(&self.scopes), self.doubts.until));
        let backoff = Backoff::new(self.settings.retry);
        self.tasks.spawn(async move {
            ledger.gaps_written().await;
            let batch = GapRecord::batch(&gaps);
            let mut delivery = Delivery::new(&context.output, &batch, backoff, earlier);
            while let DeliveryStep::Wait(until) = delivery.step(&context, &batch).await {
                tokio::time::sleep_until(until.into()).await;
            }
            let ids = gaps.iter().map(|gap| gap.id).collect();
            Outcome::GapsDelivered(tickets, ids, file_mark(&context.output))
        });
    }

    /// The gaps that were in flight are delivered.
    pub(super) fn settle_gaps(
        &mut self,
        tickets: &[u64],
        ids: &[Fingerprint],
        mark: Option<crate::event::FileMark>,
    ) {
        self.gaps.under_way = false;
        self.ledger.gaps_delivered(ids);
        for ticket in tickets {
            if let Some(passing) = self.acks.at(*ticket) {
                passing.mark = mark;
            }
            self.pass(*ticket);
        }
    }
}

/// The facts of a gap, for its message.
struct NewGap {
    reason: GapReason,
    file: Arc<str>,
    bytes: u64,
    at_least: bool,
    times: u64,
    from: Option<Nanos>,
    to: Option<Nanos>,
}

impl NewGap {
    /// The time that the gap spans, as far as it is known.
    fn span(&self) -> String {
        let time = |nanos: Nanos| format!("{:.3}", Time::from_nanos(nanos));
        match (self.from.map(time), self.to.map(time)) {
            (Some(from), Some(to)) => format!(", written between {from} and {to}"),
            (Some(from), None) => format!(", written after {from}"),
            (None, Some(to)) => format!(", written before {to}"),
            (None, None) => String::new(),
        }
    }

    fn message(&self, offset: u64) -> String {
        let Self { file, bytes, times, .. } = self;
        let least = if self.at_least { "at least " } else { "" };
        let span = self.span();
        match self.reason {
            GapReason::BackupGone if self.at_least && *bytes == 0 => {
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
                format!(
                    "{file} has {bytes} NUL bytes where lines should be, from offset {offset} on"
                )
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

    #[test]
    fn a_gap_says_which_time_it_spans_even_where_nobody_knows_its_bytes() {
        let what = |bytes, at_least, from, to| NewGap {
            reason: GapReason::BackupGone,
            file: "audit.log".into(),
            bytes,
            at_least,
            times: 1,
            from,
            to,
        };
        let text = what(0, true, Some(0), Some(2_000_000_000)).message(9);
        assert!(text.contains("nobody knows how many bytes"), "{text}");
        let span = "between 1970-01-01T00:00:00.000Z and 1970-01-01T00:00:02.000Z";
        assert!(text.ends_with(span), "{text}");
        assert!(what(5, false, None, Some(0)).message(9).contains(": 5 bytes from offset 9"));
        assert!(!what(5, false, None, None).message(9).contains("written"));
    }
}
