//! The transform steps of an output: policy, `where` filter, redaction, shrinking. They decide which events, and
//! which parts of them, leave the node.
//!
//! `steps.rs` is the table of the steps, in their order:
//!
//! | step | file | what it does |
//! |---|---|---|
//! | policy | `policy/`, `lower.rs` | applies an audit Policy like the API server: drops events, lowers levels |
//! | stages | `stages.rs` | drops events of the stages in `omit_stages` |
//! | `where` | `filter/` | drops events for which a CEL expression is false |
//! | managed fields | `managed_fields.rs` | removes `metadata.managedFields` from bodies |
//! | redaction | `redact/` | replaces (masks or hashes) secrets |
//! | shrinking | `shrink/` | cuts events that are larger than the output accepts, and notes the cuts in the event |
//! | completing | `complete/` | for Falco: makes whole events that it takes, drops what is no event |
//!
//! The first three steps look at the event as the API server wrote it. The others change bytes (`edit.rs`) and leave
//! the rest of the line byte for byte as it was. The result is deterministic: the same event always becomes the same
//! bytes, so an output can deduplicate an event that is sent twice. Read [`Chain::apply`] first (`chain.rs`).

mod chain;
mod complete;
mod cuts;
mod edit;
mod filter;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzz_tests;
mod level;
mod lower;
mod managed_fields;
mod policy;
mod preview;
#[cfg(test)]
mod record_tests;
mod redact;
mod redaction;
mod reloadable;
mod response_name;
mod shrink;
mod stages;
mod step;
mod steps;

pub use chain::TransformScratch;
pub use complete::Completing;
pub use filter::{Filter, Filters};
pub use managed_fields::ManagedFields;
pub use policy::Policy;
pub use preview::TransformPreview;
pub use redact::{ConfigMaps, Mode, Redaction, Rule, Rules};
pub use reloadable::ReloadableChain;
pub use shrink::{ShrinkOrder, Shrinking};
pub use stages::OmitStages;
pub use steps::{Chain, actions};
