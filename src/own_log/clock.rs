//! The time of day, for commit lines and for the ten minutes of remembered bodies.

use std::time::SystemTime;

use crate::event::{Nanos, nanos};

pub(super) fn now() -> Nanos {
    nanos(SystemTime::now()).unwrap_or_default()
}

pub(super) fn seconds() -> i64 {
    now() / 1_000_000_000
}
