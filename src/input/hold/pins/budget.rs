//! The hold budget: how many bytes links may keep on disk, and which links are removed first when the budget is
//! exceeded.

use std::sync::Arc;

use super::Pins;
use crate::disk::FreeSpace;
use crate::input::file::generation::Generation;
use crate::input::scan::tracked::Tracked;
use crate::telemetry::human;

impl Pins {
    /// Removes the oldest links until the rest is within the budget and `min_free`; returns whether it removed any. A
    /// file counts against the budget only if it has no other name than the link.
    pub(crate) fn within_budget(&mut self, all: &mut Vec<Tracked>) -> bool {
        let mut kept = self.kept().alone;
        if kept == 0 {
            return false;
        }
        let mut short = self.short_of_space();
        let mut gone = Vec::new();
        // First the links that cost nobody anything: the `.gz` of these files still exists beside the log.
        let (copies, only): (Vec<_>, Vec<_>) =
            all.iter().enumerate().partition(|(_, tracked)| tracked.named);
        for (at, tracked) in copies.into_iter().chain(only) {
            if kept <= self.hold.max_bytes && short == 0 {
                break;
            }
            let fingerprint = tracked.generation.fingerprint;
            let Some(pin) = self.links.get(&fingerprint).filter(|pin| pin.alone.is_some()) else {
                continue;
            };
            let bytes = pin.bytes;
            kept = kept.saturating_sub(bytes);
            short = short.saturating_sub(bytes);
            gone.push(at);
        }
        // Removed from the end, so that the indexes stay valid; reported oldest first.
        gone.sort_unstable();
        let gone: Vec<_> = gone.into_iter().rev().map(|at| all.remove(at)).collect();
        gone.iter().rev().for_each(|tracked| self.let_go(tracked));
        !gone.is_empty()
    }

    /// Bytes that links may keep in addition to those kept now; `None` if links are off or fail.
    pub(crate) fn room(&self) -> Option<u64> {
        if self.hold.max_bytes == 0 || self.failing {
            return None;
        }
        let room = self.hold.max_bytes.saturating_sub(self.kept().alone);
        let Some(space) = self.space() else { return Some(room) };
        Some(room.min(space.free.saturating_sub(self.hold.min_free.of(space.total))))
    }

    /// The space on the file system of the links.
    fn space(&self) -> Option<FreeSpace> {
        self.directory.as_ref()?.space().ok()
    }

    /// Free bytes that `min_free` asks for and the file system lacks.
    fn short_of_space(&self) -> u64 {
        let Some(space) = self.space() else { return 0 };
        self.hold.min_free.of(space.total).saturating_sub(space.free)
    }

    fn let_go(&mut self, tracked: &Tracked) {
        let generation = &tracked.generation;
        self.remove(generation.fingerprint);
        // Its `.gz` still exists beside the log.
        if tracked.named {
            return;
        }
        let (input, file) = (self.naming.input(), &*generation.name);
        let hint =
            "raise `hold.max_bytes` or lower `hold.min_free`, or see why an output is behind";
        tracing::error!(
            input,
            file,
            size = human::size(generation.length),
            hint,
            "the hold budget is spent: removed the link of the oldest backup, its unread rest is lost"
        );
        self.tell_let_go(generation);
    }

    /// Tells the readers that a generation is no longer kept.
    pub(crate) fn tell_let_go(&self, generation: &Arc<Generation>) {
        self.shared.let_go(generation);
    }
}
