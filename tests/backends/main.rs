//! Tests against back ends: `OpenSearch`, Elasticsearch 7.10, Loki 1.6, `VictoriaLogs`, kube-apiserver and its rotation
//! library, all of them real; and stand-ins for Loki 3 and Elasticsearch 8, which answer as those were recorded
//! (`../support/stand_in`), since their licences keep them out.
//!
//! `servers/build.sh` builds the real ones into `target/backends`. Without them a test takes the stand-in where that can show the
//! same; else it says what was not run and passes. With `AUDITRAIL_REQUIRE_SERVERS=1`, as `.ci/run` sets it, it fails
//! instead. `AUDITRAIL_TEST_WITHOUT_SERVERS=1` leaves them out although they are there. `AUDITRAIL_TEST_LOKI_URL` and
//! `AUDITRAIL_TEST_ELASTICSEARCH_URL` name servers of the user's own: the tests that need no settings of theirs and kill none run
//! against those.
//!
//! `servers.rs` starts processes and ends them; a file for each server knows how to ask it; the rest are tests, each
//! of which sees the agent only as an operator does: a TOML file, signals, and what arrived.
// The leniency that clippy.toml grants to test functions, for the helpers that only tests call.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

#[path = "../support/mod.rs"]
mod support;

#[path = "../support/stand_in/mod.rs"]
mod stand_in;

mod apiserver;
mod corpus;
mod elastic;
mod history;
mod loki;
mod rotating_writer;
mod servers;
mod victoria;

mod accounting;
mod chaos;
mod cluster;
mod confined;
mod elastic_refusals;
mod elastic_rules;
mod everything;
mod gaps;
mod hostile;
mod index_mode;
mod kills;
mod leaks;
mod loki_refusals;
mod network;
mod recording;
mod replay;
mod rotation;
mod smoke;
mod soak;
mod strict;
mod verify;
mod wire;
