//! Stand-ins for Loki 3 and Elasticsearch 8, whose licences keep them out of tests: each answers as the real server was
//! observed to answer (Loki 3.7.8, Elasticsearch 8.19.21), down to the wording of its errors.
//!
//! They are not what they stand for: nothing is replicated, compacted or deleted, and a query language is understood as far as the
//! agent and its tests use it. What was recorded is a table beside each of them (`loki/table.rs`, `elastic/table.rs`).
//! Where an observed behaviour is only sometimes bad for a sender, the stand-in is always so.
//!
//! A stand-in is a process of its own, so that it can be killed: the test binary starts itself (`process.rs`). What it
//! acknowledged is in its journal, synced.

pub(crate) mod elastic;
pub(crate) mod http;
pub(crate) mod journal;
pub(crate) mod loki;
pub(crate) mod process;
