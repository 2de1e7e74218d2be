//! Integration tests: they run the built binary as an operator would, and check the sources and the documents.
//!
//! No test here needs a real back end; the tests against real servers are in `tests/backends`. A test that needs a
//! mount, `promtool`, `prometheus` or a second file system prints NOT TESTED or SKIPPED where there is none.
//!
//! - Helpers: `command.rs` runs the binary, `sources.rs` reads the project's files, `imports.rs` follows their
//!   imports, `prometheus.rs` runs Prometheus and promtool.
//! - Command line: `cli.rs`, `init.rs`, `manual.rs` (manual pages, completions), `preview.rs`, `replay.rs`,
//!   `dead_letters.rs` (list, resend, drop), `letters.rs` (list of many), `holds.rs` (list, prune), `status.rs`.
//! - Start, signals and shutdown: `starting.rs`.
//! - HTTP: `pages.rs`, `probes.rs`, `metrics.rs`.
//! - Delivery and gaps: `delivery.rs` (rotation, kills), `backups.rs`, `absence.rs` (agent down), `holding.rs` (systemd
//!   keeps deleted backups), `taking_over.rs` (the state of an earlier version after a kill).
//! - The API server's webhook: `webhook.rs`.
//! - Limits and failures: `full_disk.rs`, `memory.rs`, `descriptors.rs`, `checkpoint.rs`, `state.rs`.
//! - Security: `leaving.rs` (policy, redaction), `echoes.rs` (credentials), `privacy.rs` (file modes, the log stays
//!   unchanged), `neighbours.rs` (hostile files), `overwriting.rs` (outputs that would overwrite a file).
//! - Monitoring: `heartbeats.rs`, `alerts.rs` (rules, their tests and their paragraphs in the runbook), `lights.rs` (each trouble fires
//!   its alert), `dashboards.rs`.
//! - The project itself: `docs.rs` (documents against the program), `chart.rs` (the Helm chart), `promises.rs` (a test
//!   for each guarantee), `tidy.rs` and `tidy_walls.rs` (sources against the house rules).
// clippy.toml allows these in test functions; the helpers that only tests call need the same.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod command;
mod https_sender;
mod imports;
mod prometheus;
mod sources;

mod absence;
mod alerts;
mod backups;
mod chart;
mod checkpoint;
mod cli;
mod confined;
mod dashboards;
mod dead_letters;
mod delivery;
mod descriptors;
mod docs;
mod echoes;
mod falco;
mod full_disk;
mod heartbeats;
mod holding;
mod holds;
mod init;
mod leaving;
mod letters;
mod lights;
mod manual;
mod memory;
mod metrics;
mod neighbours;
mod overwriting;
mod pages;
mod preview;
mod privacy;
mod probes;
mod promises;
mod replay;
mod starting;
mod state;
mod status;
mod taking_over;
mod tidy;
mod tidy_walls;
mod webhook;
mod webhook_tls;
