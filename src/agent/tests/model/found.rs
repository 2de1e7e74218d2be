//! Regression scripts: each once failed, for the reason above it.

use super::step::Back::StateAndLog;
use super::step::Kind::{Elasticsearch, Loki};
use super::step::Script;
use super::step::Step::{
    Append, Await, Begin, CopyTruncate, Delete, Fault, Kill, Return, RollBack, Rotate, Snapshot,
    Start,
};
use super::step::Wrong::Full;
use crate::disk::FaultKind::Read;

pub(super) fn scripts() -> Vec<Script> {
    vec![
        // The reader took the beginning of a compressed file that was still being copied for a generation of its own.
        Script {
            outputs: vec![Elasticsearch],
            batch: 1,
            in_flight: 1,
            steps: vec![Append(1), Rotate, Start, Return(0)],
        },
        // The log was truncated meanwhile. The reader took its link, which held half a line, for a generation of half
        // a line.
        Script {
            outputs: vec![Elasticsearch],
            batch: 1,
            in_flight: 1,
            steps: vec![Append(1), Start, Kill(2), CopyTruncate, Begin],
        },
        // The reader read the same link instead of the compressed copy.
        Script {
            outputs: vec![Elasticsearch],
            batch: 2,
            in_flight: 1,
            steps: vec![Append(3), Start, Kill(1), CopyTruncate, Return(2)],
        },
        // After the rollback, other events of the same length have the positions of the events that were sent before.
        Script {
            outputs: vec![Loki, Elasticsearch],
            batch: 2,
            in_flight: 1,
            steps: vec![
                Start,
                Append(3),
                Await(3),
                Snapshot,
                Start,
                Append(4),
                Await(3),
                RollBack(StateAndLog),
                Append(4),
                Start,
            ],
        },
        // The reader took a file for deleted that only a link kept, and that could not be read for a moment.
        Script {
            outputs: vec![Elasticsearch],
            batch: 3,
            in_flight: 1,
            steps: vec![
                Fault(Read, Full, 11, 12),
                Start,
                Append(4),
                Rotate,
                Delete(2),
                Kill(0),
                Start,
            ],
        },
    ]
}
