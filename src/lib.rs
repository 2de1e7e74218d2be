//! Follows the Kubernetes audit log and delivers every event to Loki, Elasticsearch or a file: whole, once, in event time.
//!
//! Data flows one way, and acknowledgements come back:
//!
//! ```text
//! followed file → input → event → transform → pipeline → output → Loki, Elasticsearch, file
//!                   ↑ cursor                     │ acknowledged
//!                   └──────── checkpoint ────────┘
//! ```
//!
//! | room | holds |
//! |---|---|
//! | `json` | JSON as it is written: members, values, escapes |
//! | `event` | an event's line, its fields and its position; words that other rooms share |
//! | `disk` | every change to the file system |
//! | `discovery` | finds the audit log of this node's API server |
//! | `config` | the TOML file, checked |
//! | `confine` | what the process gives up at its start |
//! | `transform` | what leaves the node of an event: policy, redaction, shrinking, filter |
//! | `telemetry` | every number, state and log line |
//! | `input` | files into whole events, through rename and gzip |
//! | `tls` | certificates and keys from PEM files, for both sides of TLS |
//! | `own_log` | a log that the agent writes itself, and then follows |
//! | `receive` | the API server's audit webhook into an own log |
//! | `output` | events into requests, answers into verdicts |
//! | `checkpoint` | what survives the process |
//! | `dead_letters` | events that an output will never take |
//! | `pipeline` | joins an input to an output: batches, retries, acknowledgements |
//! | `verify` | compares what is on disk with what a store holds |
//! | `server` | `/metrics`, the probes and the status page |
//! | `agent` | builds all of these from the configuration, runs them, drains them |
//! | `replay` | ships recorded logs through the agent's pipelines |
//! | `cli` | the subcommands: flags, printing, exit codes |
//!
//! A reading order: `events/src/event/mod.rs`, `input/mod.rs`, `pipeline/mod.rs`, `pipeline/delivery.rs`,
//! `output/mod.rs`, `checkpoint/mod.rs`, then `agent/mod.rs`, which builds and runs the agent. `ARCHITECTURE.md` has the invariants.

mod agent;
mod checkpoint;
mod cli;
mod config;
mod confine;
mod dead_letters;
mod discovery;
mod disk;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod input;
mod output;
mod own_log;
mod pipeline;
mod receive;
mod replay;
mod server;
mod telemetry;
mod tls;
mod verify;

pub(crate) use auditrail_events::{event, json, transform};
pub use cli::main;
