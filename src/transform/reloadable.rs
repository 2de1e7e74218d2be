//! The current transform chain of one output, which a configuration reload can replace.

use std::sync::{Arc, PoisonError, RwLock};

use super::Chain;

/// Holds the current chain; a reload replaces it.
pub(crate) struct ReloadableChain {
    chain: RwLock<(Arc<Chain>, u64)>,
}

impl ReloadableChain {
    pub(crate) fn new(chain: Chain) -> Self {
        Self { chain: RwLock::new((Arc::new(chain), 0)) }
    }

    /// The current chain and its revision: how often it was replaced. The same event can become different bytes under
    /// another revision.
    pub(crate) fn chain(&self) -> (Arc<Chain>, u64) {
        let held = self.chain.read().unwrap_or_else(PoisonError::into_inner);
        (Arc::clone(&held.0), held.1)
    }

    pub(crate) fn replace(&self, chain: Chain) {
        let mut held = self.chain.write().unwrap_or_else(PoisonError::into_inner);
        *held = (Arc::new(chain), held.1 + 1);
    }
}
