//! Tests against real back ends: Loki, Elasticsearch, `OpenSearch`, `VictoriaLogs`, kube-apiserver and its rotation library.
//!
//! `servers/build.sh` builds them into `target/backends`. Without them each test says what was not run and passes;
//! with `AUDITRAIL_REQUIRE_SERVERS=1`, as `.ci/run` sets it, it fails instead. `AUDITRAIL_TEST_WITHOUT_SERVERS=1` leaves
//! them out although they are there.
//!
//! `servers.rs` starts processes and ends them; a file for each server knows how to ask it; the rest are tests, each
//! of which sees the agent only as an operator does: a TOML file, signals, and what arrived.
// The leniency that clippy.toml grants to test functions, for the helpers that only tests call.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

#[path = "../support/mod.rs"]
mod support;

mod apiserver;
mod corpus;
mod elastic;
mod history;
mod loki;
mod rotating_writer;
mod servers;
mod victoria;

mod chaos;
mod cluster;
mod elastic_refusals;
mod everything;
mod gaps;
mod hostile;
mod kills;
mod leaks;
mod loki_refusals;
mod recording;
mod replay;
mod rotation;
mod smoke;
mod verify;
