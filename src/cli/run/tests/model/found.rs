//! Scripts that once failed, and why.

use super::step::Kind::Elasticsearch;
use super::step::Script;
use super::step::Step::{Append, Begin, CopyTruncate, Kill, Return, Rotate, Start};

pub(super) fn scripts() -> Vec<Script> {
    vec![
        // The beginning of a compressed file on its way here was taken for a generation of its own.
        Script {
            outputs: vec![Elasticsearch],
            batch: 1,
            in_flight: 1,
            steps: vec![Append(1), Rotate, Start, Return(0)],
        },
        // The link of a log that was truncated meanwhile, and held half a line, was taken for a generation of half a line.
        Script {
            outputs: vec![Elasticsearch],
            batch: 1,
            in_flight: 1,
            steps: vec![Append(1), Start, Kill(2), CopyTruncate, Begin],
        },
        // The same link was read instead of the compressed copy.
        Script {
            outputs: vec![Elasticsearch],
            batch: 2,
            in_flight: 1,
            steps: vec![Append(3), Start, Kill(1), CopyTruncate, Return(2)],
        },
    ]
}
