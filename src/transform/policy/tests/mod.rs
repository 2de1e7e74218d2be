//! What a policy decides, and what is said of its traps.

mod differential;
