//! Limit of open files (`RLIMIT_NOFILE`): how many descriptors the process may have, and how many of them backups and
//! connections may take.
//!
//! The soft limit of 1,024 is a relic of `select`, which nothing here calls, so the agent raises it to the hard limit
//! at start. Of what remains beyond [`OWN`], backups that are held open may take a quarter, and connections to the
//! status page another quarter. The rest is a reserve for readers, outputs, the checkpoint and the watches. If
//! descriptors run out all the same, the caller tries again later: `EMFILE` says nothing about a file.

use std::io;

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors that an agent with a few inputs and outputs needs for itself: watches, sockets, locks.
const OWN: usize = 48;

/// What the operator can do about it, for error messages.
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

/// How many backups each of this many inputs may hold open.
pub(crate) fn share(inputs: usize) -> usize {
    (limit().saturating_sub(OWN) / 4 / inputs.max(1)).clamp(1, 256)
}

/// Most connections to the status page at once. When a client floods the port, most connections wait for their first
/// byte; with more room, the server has to close one for another less often.
pub(crate) fn connections() -> usize {
    let limit = limit();
    (limit.saturating_sub(OWN) / 4).max(limit / 8).clamp(1, 4096)
}

/// Whether an error says that the process or the machine has run out of descriptors (`EMFILE`, `ENFILE`).
pub(crate) fn is_spent(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}

/// The text of an error. If descriptors ran out, it also names the limit.
pub(crate) fn tell(error: &io::Error) -> String {
    if is_spent(error) { format!("{error}: {}", limited()) } else { error.to_string() }
}

/// The limit in words, for error messages.
pub(crate) fn limited() -> String {
    format!("the process may have {} files and sockets open", limit())
}

fn limit() -> usize {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(limit).unwrap_or(usize::MAX)
}
