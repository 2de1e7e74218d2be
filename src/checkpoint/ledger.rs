//! What one pipeline has done, shared with the keeper that writes it down.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

use super::{ALL, FileMark, Pair};
use crate::event::{Cursor, Fingerprint, GapRecord, IdScheme, Nanos, Progress};
use crate::telemetry::PairStats;

/// Bytes that may be sent beyond the saved cursor: enough that saving once an interval seldom makes a pipeline wait,
/// and few enough that looking them up after a kill takes moments.
pub(crate) const RESERVE: u64 = 64 << 20;

/// The books of one pipeline.
pub(crate) struct Ledger {
    books: Mutex<LedgerState>,
    /// The keeper saved: reservations may have grown.
    granted: Notify,
    /// Shared by all ledgers: something is to be saved.
    moved: Arc<Notify>,
    /// Makes durable what the cursor stands on, where the output is a file.
    sync: Option<Box<dyn Fn() -> std::io::Result<()> + Send + Sync>>,
}

struct LedgerState {
    pair: Pair,
    /// The output's present scope.
    scope: String,
    /// Bytes acknowledged and handed out, since the start.
    acked: u64,
    /// Sending is allowed up to here, counted like `acked`.
    grant: u64,
    /// Sending was allowed, and so may have happened, up to here.
    used: u64,
    /// How much to reserve at the next save.
    reserve: u64,
    /// What an earlier process may have sent beyond the cursor, as long as it has not been passed.
    old: u64,
    /// Gaps entered since the start, and how many of these are written down.
    gaps: u64,
    gaps_written: u64,
    changed: bool,
    /// A pipeline waits for the grant to grow.
    waiting: bool,
}

/// A copy of the books at one moment, to be written down.
pub(super) struct Entry {
    pub(super) pair: Pair,
    acked: u64,
    gaps: u64,
}

impl LedgerState {
    /// Takes the grant up to `end`, if it reaches so far.
    fn use_grant(&mut self, end: u64) -> bool {
        let granted = end <= self.grant;
        if granted {
            self.used = self.used.max(end);
        }
        granted
    }

    /// Whether a pipeline waits for the grant to grow, or soon will: half of it is used up, and a save would add to it.
    fn runs_short(&self) -> bool {
        let left = self.grant.saturating_sub(self.used);
        let gain = self.acked.saturating_add(self.reserve).saturating_sub(self.grant);
        self.waiting || (left < self.reserve / 2 && gain >= self.reserve / 4)
    }

    /// Moves to the losses the gaps that are delivered and that the cursor has passed, or whose generation is `gone`.
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
    /// The books of a pair that starts from `pair`, whose `reserved` bytes are in doubt. What is sent goes to `scope`, under
    /// ids made of `ids`.
    pub(crate) fn new(
        mut pair: Pair,
        scope: String,
        ids: Option<IdScheme>,
        moved: Arc<Notify>,
    ) -> Self {
        let new = ids.filter(|ids| !pair.ids.contains(ids));
        pair.ids.extend(new);
        let (old, gaps) = (pair.reserved, u64::from(!pair.gaps.is_empty()));
        let books = LedgerState {
            pair,
            scope,
            acked: 0,
            grant: 0,
            used: 0,
            reserve: RESERVE,
            old,
            // Those that an earlier process entered wait for a save too, which says where they may be sent.
            gaps,
            gaps_written: 0,
            changed: false,
            waiting: false,
        };
        Self { books: Mutex::new(books), granted: Notify::new(), moved, sync: None }
    }

    /// The books of a file output. Its file is cut back to the mark at start, so that nothing is ever in doubt: once the
    /// mark is written down, which is waited for. `sync` is called before its cursor is written down.
    pub(crate) fn of_file(
        pair: Pair,
        moved: Arc<Notify>,
        sync: impl Fn() -> std::io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let books = LedgerState {
            pair,
            scope: String::new(),
            acked: 0,
            grant: 0,
            used: 0,
            reserve: 0,
            old: 0,
            gaps: 0,
            gaps_written: 0,
            changed: true,
            waiting: false,
        };
        Self { books: Mutex::new(books), granted: Notify::new(), moved, sync: Some(Box::new(sync)) }
    }

    fn books(&self) -> MutexGuard<'_, LedgerState> {
        // Between two statements the books may not agree, but no statement in between can panic.
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn cursor(&self) -> Cursor {
        self.books().pair.cursor.clone()
    }

    /// Looks at the cursor without copying it.
    pub(crate) fn with_cursor<T>(&self, look: impl FnOnce(&Cursor) -> T) -> T {
        look(&self.books().pair.cursor)
    }

    /// Sets the cursor from which a pipeline starts that knew nothing.
    pub(crate) fn start(&self, cursor: Cursor) {
        let mut books = self.books();
        books.pair.cursor = cursor;
        books.changed = true;
        self.moved.notify_one();
    }

    /// Moves the cursor: everything up to `progress` is delivered, or durably refused.
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
        books.acked += bytes;
        if books.old != ALL {
            books.old = books.old.saturating_sub(bytes);
        }
        books.changed = true;
        self.moved.notify_one();
    }

    /// An event of this time is acknowledged; only the first one counts.
    pub(crate) fn begins(&self, time: Nanos) {
        self.books().pair.losses.since.get_or_insert(time);
    }

    /// Shows the gaps of earlier processes.
    pub(crate) fn show_losses(&self, stats: &PairStats) {
        let books = self.books();
        books.pair.losses.show(&books.pair.gaps, stats);
    }

    /// Forgets generations that exist no more.
    pub(crate) fn forget(&self, gone: impl Fn(&Fingerprint) -> bool) {
        let mut books = self.books();
        books.forget_gaps(&gone);
        books.pair.cursor.generations.retain(|fingerprint, _| !gone(fingerprint));
    }

    /// Reading has passed everything that an earlier process may have sent, where no bound of that was known.
    pub(crate) fn doubt_passed_unless_bounded(&self) {
        let mut books = self.books();
        if books.old == ALL {
            books.old = 0;
        }
    }

    /// Waits until sending up to `end`, counted in bytes since the start, is written down as possible.
    pub(crate) async fn granted(&self, end: u64) {
        loop {
            let saved = self.granted.notified();
            {
                let mut books = self.books();
                if books.use_grant(end) {
                    return;
                }
                let needed = end - books.acked;
                if self.sync.is_none() {
                    // Twice, so that a fast back end waits for few saves.
                    books.reserve = books.reserve.max(needed.saturating_mul(2));
                }
                books.changed = true;
                books.waiting = true;
                self.moved.notify_one();
            }
            saved.await;
        }
    }

    /// Whether sending up to `end` is allowed already.
    pub(crate) fn is_granted(&self, end: u64) -> bool {
        self.books().use_grant(end)
    }

    /// Enters a gap, before it is sent and before the cursor passes it.
    pub(crate) fn enter_gap(&self, gap: GapRecord) {
        let mut books = self.books();
        books.pair.gaps.push(gap);
        books.gaps += 1;
        books.changed = true;
        self.moved.notify_one();
    }

    /// Looks at the gaps that are known: those not delivered, and those that the cursor has not passed.
    pub(crate) fn with_gaps<T>(&self, look: impl FnOnce(&[GapRecord]) -> T) -> T {
        look(&self.books().pair.gaps)
    }

    /// Gaps that are not delivered.
    pub(crate) fn gaps_to_send(&self) -> usize {
        self.books().gaps_to_send()
    }

    /// Waits until every gap entered so far is written down, so that it can be sent.
    pub(crate) async fn gaps_written(&self) {
        let entered = self.books().gaps;
        loop {
            let saved = self.granted.notified();
            {
                let mut books = self.books();
                // A file needs no more than its first mark.
                let is_file = self.sync.is_some();
                if if is_file { books.grant > 0 } else { books.gaps_written >= entered } {
                    return;
                }
                books.changed = true;
                self.moved.notify_one();
            }
            saved.await;
        }
    }

    /// These gaps are delivered. They are kept until the cursor has passed them, so that what is read again after a kill
    /// is not told again.
    pub(crate) fn gaps_delivered(&self, ids: &[Fingerprint]) {
        let mut books = self.books();
        for gap in &mut books.pair.gaps {
            gap.delivered |= ids.contains(&gap.id);
        }
        books.forget_gaps(|_| false);
        books.changed = true;
        self.moved.notify_one();
    }

    /// Everything that was sent is acknowledged: nothing is in doubt until something is sent again.
    pub(crate) fn settle(&self) {
        let mut books = self.books();
        (books.reserve, books.grant, books.used) = (0, books.acked, books.acked);
        books.changed |= books.pair.reserved > 0;
    }

    /// Whether a save is needed.
    pub(super) fn is_due(&self) -> bool {
        self.books().changed
    }

    /// Whether a save is needed before its time, so that sending need not wait for it.
    pub(super) fn runs_short(&self) -> bool {
        self.books().runs_short()
    }

    /// What is to be saved now.
    pub(super) fn entry(&self) -> Entry {
        let mut books = self.books();
        books.changed = false;
        let mut reserved = 0;
        if self.sync.is_none() {
            let used = books.used.saturating_sub(books.acked);
            reserved = books.reserve.max(books.old).max(used);
            // From now on the file may say this and no more, whether or not anyone hears that it was written.
            books.grant = books.grant.min(books.acked.saturating_add(reserved));
        }
        if books.old == 0 && books.gaps_to_send() == 0 {
            books.pair.scopes.clear();
        }
        let scope = books.scope.clone();
        if !scope.is_empty() && !books.pair.scopes.contains(&scope) {
            books.pair.scopes.push(scope);
        }
        books.pair.reserved = reserved;
        let mut pair = books.pair.clone();
        if self.sync.is_some() {
            // What a file holds beyond its mark is cut off, so the same gap is met again as if for the first time.
            pair.gaps.clear();
        }
        Entry { pair, acked: books.acked, gaps: books.gaps }
    }

    /// Makes durable what an entry taken before stands on.
    pub(super) fn sync(&self) -> std::io::Result<()> {
        self.sync.as_ref().map_or(Ok(()), |sync| sync())
    }

    /// An entry was saved.
    pub(super) fn saved(&self, entry: &Entry) {
        let mut books = self.books();
        let reserved = if self.sync.is_some() { u64::MAX } else { entry.pair.reserved };
        books.grant = entry.acked.saturating_add(reserved);
        books.gaps_written = entry.gaps;
        books.waiting = false;
        drop(books);
        self.granted.notify_waiters();
    }

    /// An entry could not be saved: it is still due.
    pub(super) fn not_saved(&self) {
        self.books().changed = true;
    }
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
