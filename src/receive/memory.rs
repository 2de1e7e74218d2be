//! The memory for the bodies that are under way. When it is used up, bodies go to files; nobody waits for it, so slow
//! senders hold up nobody.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Bytes for all bodies together.
pub(crate) const IN_MEMORY: usize = 64 << 20;

/// A number of bytes that bodies share.
#[derive(Debug)]
pub(super) struct BodyMemory {
    free: AtomicUsize,
}

/// Bytes that one body has taken. They are given back when this is dropped.
#[derive(Debug)]
pub(super) struct BodyShare {
    memory: Arc<BodyMemory>,
    taken: usize,
}

impl BodyMemory {
    pub(super) fn new(bytes: usize) -> Self {
        Self { free: AtomicUsize::new(bytes) }
    }
}

impl BodyShare {
    pub(super) fn new(memory: &Arc<BodyMemory>) -> Self {
        Self { memory: Arc::clone(memory), taken: 0 }
    }

    /// Grows the share to `bytes`. Returns whether there was room.
    pub(super) fn grow(&mut self, bytes: usize) -> bool {
        let Some(more) = bytes.checked_sub(self.taken).filter(|more| *more > 0) else {
            return true;
        };
        let less = |free: usize| free.checked_sub(more);
        let grown = self.memory.free.fetch_update(Relaxed, Relaxed, less).is_ok();
        if grown {
            self.taken = bytes;
        }
        grown
    }

    /// Gives all of it back.
    pub(super) fn clear(&mut self) {
        self.memory.free.fetch_add(std::mem::take(&mut self.taken), Relaxed);
    }
}

impl Drop for BodyShare {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_grows_as_far_as_there_is_room_and_is_given_back() {
        let memory = Arc::new(BodyMemory::new(100));
        let (mut one, mut other) = (BodyShare::new(&memory), BodyShare::new(&memory));
        assert!(one.grow(60) && one.grow(60) && one.grow(10));
        assert!(!other.grow(41) && other.grow(40));
        drop(one);
        assert!(other.grow(100));
        other.clear();
        assert_eq!(memory.free.load(Relaxed), 100);
    }
}
