//! Self-confinement: gives up, for good, what the agent never does. A fault in the agent, or in a library, then opens
//! neither other files of the node nor another program.
//!
//! `paths.rs` restricts the file system with Landlock, `system_calls.rs` refuses system calls with seccomp. Both hold for
//! the thread that asks and for the threads that it starts, so [`confine`] is called before any other thread exists.

use std::path::PathBuf;

mod paths;
mod strength;
mod system_calls;

pub(crate) use paths::{Allowed, Replaced, Use};
pub(crate) use strength::Strength;

/// What holds for this process from now on.
pub(crate) struct Confinement {
    pub(crate) paths: Strength,
    pub(crate) system_calls: Strength,
    /// The watched paths that could be opened at the start.
    pub(crate) replaced: Replaced,
}

/// Confines this thread, and those that it starts, to `allowed`. Paths that do not exist are left out. `watched` are the
/// paths whose replacement makes the agent useless.
pub(crate) fn confine(allowed: &[Allowed], watched: Vec<PathBuf>) -> Confinement {
    let replaced = Replaced::new(watched);
    let paths = paths::restrict(allowed);
    Confinement { paths, system_calls: system_calls::refuse(), replaced }
}
