//! The whole agent against back ends that forget to answer, hang, refuse and throttle, killed at bad moments: every
//! event arrives once.

mod agent;
mod altered;
mod doubt;
mod fake;
mod files;
mod gaps;
mod holding;
mod identity;
mod journal;
mod large;
mod model;
mod refusals;
mod renames;
mod strangers;
mod waiting;
mod wire;
