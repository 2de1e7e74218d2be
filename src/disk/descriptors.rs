//! How many files and sockets the process may have open at once, and how many of them backups may take.
//!
//! A soft limit of 1,024 is a relic of `select`, which nothing here calls, so it is raised to the hard one at the start.
//! Of what there is beyond [`OWN`], a quarter may be backups that are held open; another quarter
//! may be connections to the status page. The rest is a reserve for readers, outputs, the checkpoint and the watches. Where it runs out all the same, whoever asked tries again
//! later: running out says nothing about a file.

use std::io;

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What an agent with a few inputs and outputs takes for itself: watches, sockets, locks.
const OWN: usize = 48;

/// What an operator does about it.
pub(crate) const WAY_OUT: &str =
    "raise LimitNOFILE= in the unit, or the hard limit of `ulimit -n` where the agent is started";

/// Raises the soft limit to the hard one.
pub(crate) fn raise() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return;
    }
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(%error, limit = current, "the limit of open files cannot be raised");
    }
}

/// Files of backups that one of so many inputs may hold open, of those that have another name or a link to be opened by.
pub(crate) fn share(inputs: usize) -> usize {
    (limit().saturating_sub(OWN) / 4 / inputs.max(1)).clamp(1, 256)
}

/// Connections to the status page at once. Most of them wait for their first byte, and many of these are a client that
/// floods the port: the more there is room for, the less often one has to go for another.
pub(crate) fn connections() -> usize {
    let limit = limit();
    (limit.saturating_sub(OWN) / 4).max(limit / 8).clamp(1, 4096)
}

/// Whether an error says that the process, or the machine, has no descriptor left.
pub(crate) fn is_spent(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}

/// An error for people: one that says that descriptors are spent also says how many there may be.
pub(crate) fn tell(error: &io::Error) -> String {
    if is_spent(error) { format!("{error}: {}", limited()) } else { error.to_string() }
}

/// What there is, for people.
pub(crate) fn limited() -> String {
    format!("the process may have {} files and sockets open", limit())
}

fn limit() -> usize {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(limit).unwrap_or(usize::MAX)
}
