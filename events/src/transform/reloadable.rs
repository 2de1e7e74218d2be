//! The current transform chain of one output, which a configuration reload can replace.

use std::sync::{Arc, PoisonError, RwLock};

use super::Chain;

/// Holds the current chain; a reload replaces it.
pub struct ReloadableChain {
    chain: RwLock<(Arc<Chain>, u64)>,
}

impl ReloadableChain {
    /// Holds a chain; its revision is 0.
    pub fn new(chain: Chain) -> Self {
        Self { chain: RwLock::new((Arc::new(chain), 0)) }
    }

    /// The current chain and its revision: how often it was replaced. The same event can become different bytes under
    /// another revision.
    pub fn chain(&self) -> (Arc<Chain>, u64) {
        let held = self.chain.read().unwrap_or_else(PoisonError::into_inner);
        (Arc::clone(&held.0), held.1)
    }

    /// Replaces the chain, and counts the revision up.
    pub fn replace(&self, chain: Chain) {
        let mut held = self.chain.write().unwrap_or_else(PoisonError::into_inner);
        *held = (Arc::new(chain), held.1 + 1);
    }
}
