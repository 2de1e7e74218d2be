//! Joins one input to one output: reads chunks of lines, delivers their events, and moves the cursor over
//! acknowledged events.
//!
//! - `run.rs` is the loop. A thread (`read_thread.rs`) reads one chunk ahead. `flow.rs` holds the chunks and gaps
//!   between the reader and the cursor, `gap_journal.rs` the gaps that are not delivered yet. `housekeeping.rs` does
//!   the periodic work, and `heartbeats.rs` tells the store at regular times that the agent works.
//! - `delivery.rs`: each chunk becomes a task (`chunk_task.rs`). It ends only when the output has acknowledged every
//!   event, or has refused it and the event is stored as a dead letter (`refusals.rs`). `context.rs` is what the
//!   deliveries of a pipeline share.
//! - `circuit.rs` is the circuit breaker: it stops the output when everything is refused. `waits.rs` shows the events
//!   that wait for an operator.
//! - `acks.rs`: several chunks are in flight at once, but the cursor moves over the contiguous acknowledged prefix
//!   only.
//! - `in_doubt.rs` knows which events an earlier process may have sent already. `lives.rs` notices that another run
//!   of this machine, or another machine, sends under the same names. `taken.rs` sends an event under another id when
//!   another document has its id.
//! - `absence.rs` sends again what a back end acknowledged just before it was away, if the output wants that.
//! - `backoff.rs` is the retry back-off, `rate.rs` the rate limit, `recovery.rs` the pause after an output was
//!   silent.
//! - `resend.rs` sends dead letters again. `selection.rs` picks the events of a replay, `counts.rs` counts the
//!   results by file.
//!
//! Promised: the pipeline sends an event only after a checkpoint has reserved its bytes. An error never moves a
//! cursor. The pipeline looks an event in doubt up before it sends it, to avoid duplicates. The number of chunks in
//! flight bounds memory, however long an output hangs.
//!
//! Not promised: that there are no duplicates if the output cannot be queried. The pipeline then sends events in
//! doubt again.

mod absence;
mod acks;
mod backoff;
mod chunk_task;
mod circuit;
mod context;
mod counts;
mod delivery;
mod flow;
mod gap_journal;
mod heartbeats;
mod housekeeping;
mod in_doubt;
mod in_flight;
mod lives;
mod rate;
mod read_thread;
mod recovery;
mod refusals;
mod reporter;
mod resend;
mod run;
mod selection;
mod taken;
mod waits;

pub(crate) use context::{HeartbeatSettings, Settings};
pub(crate) use counts::{Counts, EventCount};
pub(crate) use in_doubt::InDoubt;
pub(crate) use lives::Lives;
pub(crate) use resend::{Ask, Resend, Sum};
pub(crate) use run::{Ended, Pipeline, PipelineParts};
pub(crate) use selection::{Ranges, Selection, Span};
pub(crate) use waits::Waits;
