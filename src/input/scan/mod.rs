//! Looks at the directory of the log: which generations there are, and what an operator should know about them.
//!
//! Read `catalogue.rs` first. `follower.rs` is the thread that looks again and again.

pub(super) mod catalogue;
pub(super) mod findings;
pub(super) mod follower;
pub(super) mod identify;
pub(super) mod inspect;
pub(super) mod listing;
mod mounts;
mod renamed;
mod rotation;
pub(super) mod tracked;
mod unread;
pub(super) mod watch;
