//! Self-confinement: gives up, for good, what the agent never does. A fault in the agent, or in a library, then opens
//! neither other files of the node nor another program.
//!
//! `paths.rs` restricts the file system with Landlock, `system_calls.rs` refuses system calls with seccomp. Both hold for
//! the thread that asks and for the threads that it starts, so [`confine`] is called before any other thread exists.

mod paths;
mod strength;
mod system_calls;

pub(crate) use paths::{Allowed, Purpose, Replaced};
pub(crate) use strength::Strength;

/// What holds for this process from now on.
pub(crate) struct Confinement {
    pub(crate) paths: Strength,
    pub(crate) system_calls: Strength,
}

/// Confines this thread, and those that it starts, to `allowed`. Paths that do not exist are left out.
pub(crate) fn confine(allowed: &[Allowed]) -> Confinement {
    Confinement { paths: paths::restrict(allowed), system_calls: system_calls::refuse() }
}
