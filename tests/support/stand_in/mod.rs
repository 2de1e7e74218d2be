//! Stand-ins (mock servers) for Loki 3 and Elasticsearch 8, whose licences keep them out of tests. Each answers as the
//! real server was observed to answer (Loki 3.7.8, Elasticsearch 8.19.21), down to the wording of its errors.
//!
//! They are not full servers: they replicate, compact and delete nothing, and they understand only those queries that
//! the agent and its tests send. The recorded behaviour is a table beside each of them (`loki/table.rs`,
//! `elastic/table.rs`). Where the real server sometimes behaves in a way that is bad for a sender, the stand-in always
//! does.
//!
//! A stand-in is a process of its own, so that a test can kill it: the test binary starts itself (`process.rs`). Its
//! journal holds everything that it acknowledged, and is synced (fsync) before the answer.

pub(crate) mod elastic;
pub(crate) mod http;
pub(crate) mod journal;
pub(crate) mod loki;
pub(crate) mod process;
