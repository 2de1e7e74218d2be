//! The whole agent against back ends that forget to answer, hang, refuse and throttle, killed at bad moments: every
//! event arrives once.

mod agent;
mod doubt;
mod fake;
mod files;
mod holding;
mod large;
mod refusals;
mod waiting;
mod wire;
