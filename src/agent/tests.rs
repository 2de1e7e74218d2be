//! Tests of the whole agent against back ends that lose answers, hang, refuse and throttle, with kills at bad
//! moments: every event is stored exactly once.

mod agent;
mod altered;
mod doubt;
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
