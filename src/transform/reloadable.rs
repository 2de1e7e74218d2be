//! The chain of one output as it is now.

use std::sync::{Arc, PoisonError, RwLock};

use super::Chain;

/// A reload puts another chain in its place.
pub(crate) struct ReloadableChain {
    chain: RwLock<(Arc<Chain>, u64)>,
}

impl ReloadableChain {
    pub(crate) fn new(chain: Chain) -> Self {
        Self { chain: RwLock::new((Arc::new(chain), 0)) }
    }

    /// The chain, and how often it was replaced: events taken through another one are not the same events.
    pub(crate) fn chain(&self) -> (Arc<Chain>, u64) {
        let held = self.chain.read().unwrap_or_else(PoisonError::into_inner);
        (Arc::clone(&held.0), held.1)
    }

    pub(crate) fn replace(&self, chain: Chain) {
        let mut held = self.chain.write().unwrap_or_else(PoisonError::into_inner);
        *held = (Arc::new(chain), held.1 + 1);
    }
}
