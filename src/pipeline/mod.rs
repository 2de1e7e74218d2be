//! Joins one input to one output: reads, delivers, and moves the cursor over what was acknowledged.
//!
//! A thread reads ahead by one chunk. Each chunk becomes a task (`delivery.rs`) that ends only when every event of it is
//! delivered, or refused and durably put aside (`fate.rs`, unless `circuit.rs` says that everything is refused; `waits.rs` shows what waits for somebody). Several
//! are under way at once; `acks.rs` lets the cursor pass over the contiguous prefix only. `in_doubt.rs` knows what an earlier
//! process may have sent already, `lives.rs` notices that it was this log's of another life, `taken.rs` sends under another id what finds its own taken, `backoff.rs` and `rate.rs` say how long to wait. `resend.rs` sends dead letters again. `selection.rs` leaves out
//! what a replay is not asked for, `counts.rs` counts by file what became of the rest.
//!
//! Promised: nothing is sent that the checkpoint has not reserved; an error never moves a cursor; what is in doubt is
//! looked up before it is sent; memory is bounded by chunks under way, however long an output hangs.

mod acks;
mod backoff;
mod circuit;
mod counts;
mod delivery;
mod fate;
mod in_doubt;
mod in_flight;
mod lives;
mod rate;
mod read_thread;
mod recovery;
mod reporter;
mod resend;
mod run;
mod selection;
mod taken;
mod waits;

pub(crate) use counts::{Count, Counts};
pub(crate) use in_doubt::InDoubt;
pub(crate) use lives::Lives;
pub(crate) use resend::{Ask, Resend, Sum};
pub(crate) use run::{Ended, Pipeline, Settings};
pub(crate) use selection::{Ranges, Selection, Span};
pub(crate) use waits::Waits;
