//! Notices what an output can no longer read, and how long the rest will last.

pub(super) mod altered;
pub(super) mod barren;
pub(super) mod gone;
pub(super) mod hold_budget;
pub(super) mod missed_rotation;
pub(super) mod time_to_loss;
pub(super) mod unreadable;
