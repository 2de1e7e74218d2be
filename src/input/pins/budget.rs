//! What links may keep, and which go first when that is spent.

use std::sync::Arc;

use super::super::catalogue::Tracked;
use super::super::generation::Generation;
use super::Pins;
use crate::config::MinFree;
use crate::telemetry::human;

impl Pins {
    /// Lets the oldest go until the rest is within the budget; whether any went. Only what nothing else keeps costs
    /// anything.
    pub(in crate::input) fn within_budget(&mut self, all: &mut Vec<Tracked>) -> bool {
        let mut kept = self.kept().alone;
        if kept == 0 {
            return false;
        }
        let mut short = self.short_of_space();
        let mut gone = Vec::new();
        // First what costs nobody anything: the `.gz` of these is there still.
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
        // From the end, so that the places stay what they are; said oldest first.
        gone.sort_unstable();
        let gone: Vec<_> = gone.into_iter().rev().map(|at| all.remove(at)).collect();
        gone.iter().rev().for_each(|tracked| self.let_go(tracked));
        !gone.is_empty()
    }

    /// Bytes that may be kept beyond what is; `None` where no link is made.
    pub(in crate::input) fn room(&self) -> Option<u64> {
        if self.hold.max_bytes == 0 || self.failing {
            return None;
        }
        let room = self.hold.max_bytes.saturating_sub(self.kept().alone);
        let Some((free, total)) = self.space() else { return Some(room) };
        Some(room.min(free.saturating_sub(self.asked(total))))
    }

    /// Bytes that are free on the file system of the links, and those that it has.
    fn space(&self) -> Option<(u64, u64)> {
        let space = self.directory.as_ref()?.space().ok()?;
        Some((space.f_bavail * space.f_frsize, space.f_blocks * space.f_frsize))
    }

    /// What `min_free` comes to.
    fn asked(&self, total: u64) -> u64 {
        match self.hold.min_free {
            MinFree::Bytes(bytes) => bytes,
            MinFree::Percent(percent) => total / 100 * u64::from(percent),
        }
    }

    /// Bytes that `min_free` asks for and the file system does not have.
    fn short_of_space(&self) -> u64 {
        let Some((free, total)) = self.space() else { return 0 };
        self.asked(total).saturating_sub(free)
    }

    fn let_go(&mut self, tracked: &Tracked) {
        let generation = &tracked.generation;
        self.remove(generation.fingerprint);
        // Beside the log its `.gz` is there still.
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
            "the hold budget is spent, the oldest backup is let go"
        );
        self.tell_let_go(generation);
    }

    /// Tells the readers that a generation is kept no longer.
    pub(in crate::input) fn tell_let_go(&self, generation: &Arc<Generation>) {
        self.shared.let_go(generation);
    }
}
