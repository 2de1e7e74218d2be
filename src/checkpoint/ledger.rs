//! The ledger: cursor, reservation and gaps of one pipeline, shared with the task that writes the checkpoint.
//!
//! Promised: a pipeline sends nothing beyond the reservation (the *grant*) of the last written checkpoint, and no gap
//! before a checkpoint holds it. So after a kill the events in doubt are known. This file writes nothing itself: see
//! `writer.rs`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::Pair;
use super::allowance::{Allowance, CutBack, OneByOne};
use super::resend_window::ResendWindow;
use crate::event::{Cursor, FileMark, Fingerprint, GapRecord, IdScheme, Nanos, Progress};
use crate::telemetry::PairStats;

/// The ledger of one pipeline.
pub(crate) struct Ledger {
    books: Mutex<LedgerState>,
    /// Notified after each checkpoint: grants may have grown.
    granted: Notify,
    /// Shared by all ledgers: notified when there is something to save.
    moved: Arc<Notify>,
    /// Makes the bytes up to the cursor durable: fsyncs the file of a file output.
    sync: Box<dyn Fn() -> std::io::Result<()> + Send + Sync>,
}

struct LedgerState {
    pair: Pair,
    /// The output's present scope: where it stores what is sent now.
    scope: String,
    allowance: Allowance,
    window: Option<ResendWindow>,
    /// Gaps entered since the start.
    gaps: u64,
    changed: bool,
    /// A pipeline is waiting for the grant to grow.
    waiting: bool,
}

/// A copy of the ledger at one moment, to be written to the checkpoint.
pub(super) struct LedgerEntry {
    pub(super) pair: Pair,
    acked: u64,
    gaps: u64,
}

impl LedgerState {
    /// Moves gaps to the losses if they are delivered and the cursor has passed them or their generation is `gone`.
    fn forget_gaps(&mut self, gone: impl Fn(&Fingerprint) -> bool) {
        let Pair { cursor, gaps, losses, .. } = &mut self.pair;
        gaps.retain(|gap| {
            let progress = cursor.generations.get(&gap.place.generation);
            let passed = progress.is_some_and(|progress| gap.place.is_passed(progress));
            let done = gap.delivered && (passed || gone(&gap.place.generation));
            if done {
                losses.add(gap);
            }
            !done
        });
    }

    fn gaps_to_send(&self) -> usize {
        self.pair.gaps.iter().filter(|gap| !gap.delivered).count()
    }
}

impl Ledger {
    /// The ledger of a pair that starts from `pair`, whose `reserved` bytes are in doubt. Events will be sent to
    /// `scope` under ids made by the scheme `ids`.
    pub(crate) fn new(
        mut pair: Pair,
        scope: String,
        ids: Option<IdScheme>,
        moved: Arc<Notify>,
    ) -> Self {
        let new = ids.filter(|ids| !pair.ids.contains(ids));
        pair.ids.extend(new);
        // Gaps that an earlier process entered wait for a save too, which records the scope where they may be sent.
        let gaps = u64::from(!pair.gaps.is_empty());
        let (allowance, changed) = (Allowance::reserving(pair.reserved), false);
        let (window, waiting) = (None, false);
        let books = LedgerState { pair, scope, allowance, window, gaps, changed, waiting };
        Self::with(books, moved, Box::new(|| Ok(())))
    }

    /// The ledger of a file output. The output truncates its file to the mark at the start, so nothing is ever in
    /// doubt once that mark is in a checkpoint; the pipeline waits for that. `sync` is called before a checkpoint
    /// holds the cursor.
    pub(crate) fn of_file(
        pair: Pair,
        moved: Arc<Notify>,
        sync: impl Fn() -> std::io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let allowance = Allowance::CutBack(CutBack::default());
        let (scope, window, gaps) = (String::new(), None, 0);
        let (changed, waiting) = (true, false);
        let books = LedgerState { pair, scope, allowance, window, gaps, changed, waiting };
        Self::with(books, moved, Box::new(sync))
    }

    /// The ledger of an output that can neither be asked nor cut back. Sending waits until a checkpoint holds the
    /// cursor after the last request, so a kill leaves one request in doubt. The pipeline sends that one again. `window`: how
    /// much is sent again after the back end was away.
    pub(crate) fn one_by_one(mut pair: Pair, window: Option<Duration>, moved: Arc<Notify>) -> Self {
        pair.reserved = 0;
        let earlier = pair.resend.take();
        let window = window.map(|length| {
            let start = earlier.unwrap_or_else(|| pair.cursor.clone());
            ResendWindow::new(length, start, Instant::now())
        });
        let allowance = Allowance::OneByOne(OneByOne::default());
        let gaps = u64::from(!pair.gaps.is_empty());
        let (scope, changed, waiting) = (String::new(), true, false);
        let books = LedgerState { pair, scope, allowance, window, gaps, changed, waiting };
        Self::with(books, moved, Box::new(|| Ok(())))
    }

    fn with(
        books: LedgerState,
        moved: Arc<Notify>,
        sync: Box<dyn Fn() -> std::io::Result<()> + Send + Sync>,
    ) -> Self {
        Self { books: Mutex::new(books), granted: Notify::new(), moved, sync }
    }

    fn books(&self) -> MutexGuard<'_, LedgerState> {
        // Between two statements the fields may not agree, but no statement in between can panic, so a poisoned lock
        // is safe to use.
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// There is something to save.
    fn change(&self, books: &mut LedgerState) {
        books.changed = true;
        self.moved.notify_one();
    }

    pub(crate) fn cursor(&self) -> Cursor {
        self.books().pair.cursor.clone()
    }

    /// Looks at the cursor without copying it.
    pub(crate) fn with_cursor<T>(&self, look: impl FnOnce(&Cursor) -> T) -> T {
        look(&self.books().pair.cursor)
    }

    /// Sets the cursor of a pipeline that starts without any.
    pub(crate) fn start(&self, cursor: Cursor) {
        let mut books = self.books();
        if let Some(window) = &mut books.window {
            window.restart(cursor.clone(), Instant::now());
        }
        books.pair.cursor = cursor;
        self.change(&mut books);
    }

    /// Moves the cursor: everything up to `progress` is acknowledged, stored as a dead letter, or reported as a gap.
    pub(crate) fn advance(
        &self,
        generation: Fingerprint,
        progress: Progress,
        bytes: u64,
        file: Option<FileMark>,
    ) {
        let mut books = self.books();
        books.pair.cursor.generations.insert(generation, progress);
        books.forget_gaps(|_| false);
        books.pair.file = file.or(books.pair.file);
        books.allowance.acknowledge(bytes);
        let LedgerState { window, pair, .. } = &mut *books;
        if let Some(window) = window {
            window.note(&pair.cursor, Instant::now());
        }
        self.change(&mut books);
    }

    /// Where the resend window begins; `None` if there is none, or if it is empty.
    pub(crate) fn resend_from(&self) -> Option<Cursor> {
        let books = self.books();
        let start = books.window.as_ref()?.start()?;
        (start.generations != books.pair.cursor.generations).then(|| start.clone())
    }

    /// Moves the cursor back in these generations. The resend window begins there.
    pub(crate) fn go_back(&self, to: BTreeMap<Fingerprint, Progress>) {
        let mut books = self.books();
        books.pair.cursor.generations.extend(to);
        let LedgerState { window, pair, .. } = &mut *books;
        if let Some(window) = window {
            window.restart(pair.cursor.clone(), Instant::now());
        }
        self.change(&mut books);
    }

    /// Records that an event of this time is acknowledged; only the first call counts.
    pub(crate) fn begins(&self, time: Nanos) {
        self.books().pair.losses.since.get_or_insert(time);
    }

    /// Adds the gaps of earlier processes to the statistics of the pipeline.
    pub(crate) fn show_losses(&self, stats: &PairStats) {
        let books = self.books();
        books.pair.losses.show(&books.pair.gaps, stats);
    }

    /// Drops generations that no longer exist.
    pub(crate) fn forget(&self, gone: impl Fn(&Fingerprint) -> bool) {
        let mut books = self.books();
        books.forget_gaps(&gone);
        books.pair.cursor.generations.retain(|fingerprint, _| !gone(fingerprint));
    }

    /// Everything that exists may have been sent by an earlier process.
    pub(crate) fn doubt_all(&self) {
        self.books().allowance.doubt_all();
    }

    /// The reader has handed out everything that an earlier process may have sent: it ends at `taken`, counted in
    /// bytes since the start. Bounds a doubt that had no bound ([`ALL`](super::ALL)).
    pub(crate) fn doubt_ends(&self, taken: u64) {
        self.books().allowance.bound_doubt(taken);
    }

    /// Waits until the checkpoint allows sending up to `end`, counted in bytes since the start.
    pub(crate) async fn granted(&self, end: u64) {
        loop {
            let saved = self.granted.notified();
            {
                let mut books = self.books();
                if books.allowance.allows(end) {
                    return;
                }
                books.allowance.want(end);
                books.waiting = true;
                self.change(&mut books);
            }
            saved.await;
        }
    }

    /// Whether sending up to `end` is allowed already.
    pub(crate) fn is_granted(&self, end: u64) -> bool {
        self.books().allowance.allows(end)
    }

    /// Enters a gap. The caller does so before the gap is sent and before the cursor passes it.
    pub(crate) fn enter_gap(&self, gap: GapRecord) {
        let mut books = self.books();
        books.pair.gaps.push(gap);
        books.gaps += 1;
        self.change(&mut books);
    }

    /// Borrows the known gaps: those not delivered, and those that the cursor has not passed.
    pub(crate) fn with_gaps<T>(&self, look: impl FnOnce(&[GapRecord]) -> T) -> T {
        look(&self.books().pair.gaps)
    }

    /// Number of gaps that are not delivered.
    pub(crate) fn gaps_to_send(&self) -> usize {
        self.books().gaps_to_send()
    }

    /// Waits until a checkpoint holds every gap entered so far, so that they can be sent.
    pub(crate) async fn gaps_written(&self) {
        let entered = self.books().gaps;
        loop {
            let saved = self.granted.notified();
            {
                let mut books = self.books();
                if books.allowance.allows_gaps(entered) {
                    return;
                }
                self.change(&mut books);
            }
            saved.await;
        }
    }

    /// Marks gaps as delivered. They are kept until the cursor has passed them, so that a gap that is found again
    /// after a kill is not sent as a duplicate.
    pub(crate) fn gaps_delivered(&self, ids: &[Fingerprint]) {
        let mut books = self.books();
        for gap in &mut books.pair.gaps {
            gap.delivered |= ids.contains(&gap.id);
        }
        books.allowance.acknowledge_gaps();
        books.forget_gaps(|_| false);
        self.change(&mut books);
    }

    /// Everything that was sent is acknowledged: nothing is in doubt until something is sent again. For a clean
    /// shutdown.
    pub(crate) fn settle(&self) {
        let mut books = self.books();
        books.allowance.settle();
        books.changed |= books.pair.reserved > 0;
    }

    /// Whether anything changed since the last save.
    pub(super) fn is_due(&self) -> bool {
        self.books().changed
    }

    /// Whether a save is needed before the interval ends, so that sending need not wait for it.
    pub(super) fn runs_short(&self) -> bool {
        let books = self.books();
        books.waiting || books.allowance.runs_short()
    }

    /// Takes a copy of what to save now.
    pub(super) fn entry(&self) -> LedgerEntry {
        let mut books = self.books();
        books.changed = false;
        if !books.allowance.is_in_doubt() && books.gaps_to_send() == 0 {
            books.pair.scopes.clear();
        }
        let scope = books.scope.clone();
        if !scope.is_empty() && !books.pair.scopes.contains(&scope) {
            books.pair.scopes.push(scope);
        }
        let mut pair = books.pair.clone();
        pair.resend = books
            .window
            .as_ref()
            .and_then(ResendWindow::start)
            .filter(|start| start.generations != pair.cursor.generations)
            .cloned();
        let acked = books.allowance.complete(&mut pair);
        books.pair.reserved = pair.reserved;
        LedgerEntry { pair, acked, gaps: books.gaps }
    }

    /// For a file output: fsyncs the bytes that an entry taken before relies on.
    pub(super) fn sync(&self) -> std::io::Result<()> {
        (self.sync)()
    }

    /// An entry is in the written checkpoint.
    pub(super) fn saved(&self, entry: &LedgerEntry) {
        let mut books = self.books();
        books.allowance.saved(entry.acked, entry.pair.reserved, entry.gaps);
        books.waiting = false;
        drop(books);
        self.granted.notify_waiters();
    }

    /// An entry could not be saved, so a save is still due.
    pub(super) fn not_saved(&self) {
        self.books().changed = true;
    }
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
