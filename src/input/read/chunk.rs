//! What a reader hands out: events with the progress that the cursor makes once they are acknowledged, or a gap.

use std::sync::Arc;

use super::assembly::{Anomalies, Assembly};
use super::large::Permit;
use crate::event::{
    Batch, Cursor, Earlier, Fingerprint, Key, Mark, Marks, Progress, TransformStats,
};
use crate::input::file::generation::Generation;
use crate::input::loss::altered::{altered_print, earlier_prints};
use crate::input::loss::gap::Gap;

/// An item that a reader returns.
#[derive(Debug)]
pub(crate) enum ReaderItem {
    /// The first look is done: the cursor at which an output without a checkpoint starts.
    Started(Cursor),
    Chunk(Box<Chunk>),
    Gap(Gap),
    /// The reader has gone back to a cursor, as [`super::rewinds::Rewinds`] asked.
    Rewound,
}

/// Events, or a stretch without any, and the progress that the cursor makes once they are acknowledged.
#[derive(Debug)]
pub(crate) struct Chunk {
    /// Positions are under the batch's own `generation`, which for an altered file is not the catalogue's.
    pub(crate) batch: Batch,
    pub(crate) generation: Fingerprint,
    pub(crate) progress: Progress,
    pub(crate) told: Anomalies,
    /// Name of the file it was read from.
    pub(crate) file: Arc<str>,
    /// Bytes of the generation that an earlier process may have seen.
    pub(crate) existed: u64,
    /// The file was altered, so some of these events may have been delivered before: duplicates are possible.
    pub(crate) again: bool,
    /// Held by a line that needs the one large buffer of the process.
    pub(crate) permit: Option<Permit>,
}

impl Chunk {
    /// A chunk without events: it only says that a generation was read to its end.
    pub(crate) fn end(generation: Fingerprint, file: Arc<str>, progress: Progress) -> Self {
        let batch = Batch {
            generation: altered_print(generation, progress.alterations),
            earlier: Vec::new(),
            start: progress.offset,
            end: progress.offset,
            bytes: Vec::new(),
            events: Vec::new(),
            passed: TransformStats::default(),
        };
        let (told, again, permit) = (Anomalies::default(), false, None);
        Self { batch, generation, progress, told, file, existed: 0, again, permit }
    }

    /// The events that were read after `from`. `complete`: the generation was read to its end.
    pub(super) fn read(
        generation: &Generation,
        from: &Progress,
        assembly: Assembly,
        complete: bool,
        key: &Key,
    ) -> Self {
        let end = assembly.end();
        let tail = assembly.tail();
        let mark = match Mark::of(&tail, key) {
            None if end == from.offset => from.mark,
            mark => mark,
        };
        let passed = from.mark.map(|mark| Earlier { at: from.offset, time: from.time, mark });
        // A complete generation does not change any more, so it needs no marks.
        let marks =
            if complete { Marks::default() } else { from.marks.moved(passed, end, &tail, key) };
        drop(tail);
        let time = assembly.time;
        let progress = Progress { offset: end, complete, time, mark, marks, ..from.clone() };
        let batch = Batch {
            generation: altered_print(generation.fingerprint, from.alterations),
            earlier: earlier_prints(generation.fingerprint, from.alterations),
            start: from.offset,
            end,
            bytes: assembly.bytes,
            events: assembly.events,
            passed: TransformStats::default(),
        };
        Self {
            batch,
            generation: generation.fingerprint,
            progress,
            told: assembly.told,
            file: Arc::clone(&generation.name),
            existed: 0,
            again: from.offset < from.maybe_delivered_below,
            permit: None,
        }
    }
}
