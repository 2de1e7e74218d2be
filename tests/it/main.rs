//! Tests of the built binary, seen as an operator sees it, and of the house rules.
//!
//! `command.rs` runs the binary. `absence.rs`, `backups.rs`, `cli.rs`, `starting.rs`, `pages.rs`, `probes.rs`, `metrics.rs`, `delivery.rs`,
//! `descriptors.rs`, `echoes.rs`, `leaving.rs`, `dead_letters.rs`, `neighbours.rs`, `checkpoint.rs`, `state.rs`, `full_disk.rs`, `holds.rs`, `overwriting.rs` and `memory.rs` are what a user would notice; `docs.rs` checks the documents against the program, `tidy.rs` the sources against the house rules. Everything
//! here needs Rust alone (`privacy.rs` is what the agent touches on its node, `promises.rs` the tests that prove what the documents promise); the tests against real servers are in `tests/backends`.
// The leniency that clippy.toml grants to test functions, for the helpers that only tests call.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../support/mod.rs"]
mod support;

#[path = "../../benches/sink/mod.rs"]
#[allow(dead_code)]
mod sink;

mod command;
mod sources;

mod absence;
mod backups;
mod checkpoint;
mod cli;
mod dead_letters;
mod delivery;
mod descriptors;
mod docs;
mod echoes;
mod full_disk;
mod holding;
mod holds;
mod leaving;
mod memory;
mod metrics;
mod neighbours;
mod overwriting;
mod pages;
mod privacy;
mod probes;
mod promises;
mod replay;
mod starting;
mod state;
mod tidy;
