//! Reads the generations for one output: bytes into batches of whole events.
//!
//! Read `reader.rs` first.

pub(super) mod assembly;
mod barren;
pub(super) mod batches;
pub(super) mod chunk;
mod failures;
pub(super) mod large;
pub(super) mod open;
pub(super) mod position;
pub(super) mod reader;
pub(super) mod rewinds;
pub(super) mod shorten;
mod start;
