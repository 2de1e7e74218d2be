//! Tests against back ends: `OpenSearch`, Elasticsearch 7.10, Loki 1.6, `VictoriaLogs`, kube-apiserver and its rotation
//! library, all of them real; and stand-ins (mock servers) for Loki 3 and Elasticsearch 8, whose licences keep them
//! out. The stand-ins answer as the real servers were recorded (`stand_in`).
//!
//! `servers/build.sh` builds the real servers into `target/backends`. Without them, a test uses the stand-in where that
//! can show the same. Otherwise the test prints that it was not run, and passes. With `AUDITRAIL_REQUIRE_SERVERS=1`, as
//! `.ci/run` sets it, it fails instead. `AUDITRAIL_TEST_WITHOUT_SERVERS=1` ignores servers that are built.
//! `AUDITRAIL_TEST_LOKI_URL` and `AUDITRAIL_TEST_ELASTICSEARCH_URL` name servers of the user's own. Tests that need no
//! special server settings and kill no server run against those.
//!
//! `servers.rs` starts and ends processes. One file for each server knows how to query it. The other files are tests. A
//! test sees the agent only as an operator does: a TOML file, signals, and what arrived.
// clippy.toml allows these in test functions; this extends it to helpers that only tests call.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

mod apiserver;
mod artifacts;
mod container;
mod corpus;
mod elastic;
mod history;
mod layout;
mod loki;
mod pod;
mod rotating_writer;
mod servers;
mod stand_in;
mod victoria;
mod writer;

mod accounting;
mod binaries;
mod chaos;
mod chart;
mod cluster;
mod confined;
mod dashboards;
mod elastic_refusals;
mod elastic_rules;
mod everything;
mod falco;
mod fresh;
mod gaps;
mod heartbeats;
mod hostile;
mod image;
mod index_mode;
mod kills;
mod leaks;
mod loki_refusals;
mod network;
mod packages;
mod recording;
mod replay;
mod rollout;
mod rotation;
mod smoke;
mod soak;
mod strict;
mod verify;
mod webhook;
mod webhook_tls;
mod wire;
