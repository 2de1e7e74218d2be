//! What leaves the node of an event: filter, policy, redaction, shrinking.
//!
//! | step | file | what it does |
//! |---|---|---|
//! | policy | `policy/`, `lower.rs` | an audit Policy, as if the API server had had it: drops events, lowers levels |
//! | `where` | `filter.rs` | leaves out what an expression does not want |
//! | managed fields | `managed_fields.rs` | removes the names of fields that say who set them last |
//! | redaction | `redact/` | blanks secrets |
//! | shrinking | `shrink/` | cuts what is larger than the output takes, and says so |
//!
//! The first two look at the event as the server wrote it; the others change bytes (`edit.rs`): what is not touched stays
//! as it was. The result is deterministic: the same event always becomes the same bytes, so that one sent twice is
//! recognised. Read [`Chain::apply`] first (`chain.rs`).

mod chain;
mod edit;
mod filter;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz_tests;
mod level;
mod lower;
mod managed_fields;
mod members;
mod policy;
mod preview;
#[cfg(test)]
mod record_tests;
mod redact;
mod reloadable;
mod shrink;

pub(crate) use chain::{Chain, TransformScratch};
pub(crate) use filter::Filter;
pub(crate) use policy::Policy;
pub(crate) use preview::TransformPreview;
pub(crate) use redact::{ConfigMaps, Mode, Redaction, Rule, Rules};
pub(crate) use reloadable::ReloadableChain;
