//! The reading thread of a pipeline: reads one chunk ahead, applies the transform to its events, and waits while the
//! pipeline is busy (backpressure).

use std::io;
use std::sync::Arc;
use std::sync::mpsc;

use tokio::runtime::Handle;
use tokio::sync::mpsc as tokio_mpsc;

use super::selection::Selection;
use crate::event::{Fingerprint, Progress};
use crate::input::{Reader, ReaderItem, Rewinds};
use crate::telemetry::PairStats;
use crate::transform::{ReloadableChain, TransformScratch};

/// How the reader continues after a chunk that holds the process's one large buffer.
pub(super) enum ReaderReply {
    Settled,
    /// The pipeline released the buffer because the chunk has to wait: read it again from here.
    Again(Fingerprint, Progress),
}

/// The pipeline's ends of the channels to the thread.
pub(super) struct Reading {
    pub(super) items: tokio_mpsc::Receiver<ReaderItem>,
    pub(super) replies: mpsc::Sender<ReaderReply>,
    pub(super) rewinds: Rewinds,
}

/// What the thread reads, and what it makes of it.
pub(super) struct ReadThread {
    pub(super) reader: Reader,
    pub(super) transform: Arc<ReloadableChain>,
    /// For a replay: the events to ship.
    pub(super) selection: Option<Arc<Selection>>,
}

impl ReadThread {
    /// Starts the thread. It ends when the input is stopped or the pipeline is dropped.
    pub(super) fn start(self, pair: &PairStats) -> io::Result<Reading> {
        let runtime = Handle::current();
        let (sender, items) = tokio_mpsc::channel(1);
        let (replies, answers) = mpsc::channel();
        let name = format!("read-{}-{}", pair.input, pair.output);
        let rewinds = self.reader.rewinds();
        let run = move || self.read(&runtime, &sender, &answers);
        std::thread::Builder::new().name(name).spawn(run)?;
        Ok(Reading { items, replies, rewinds })
    }

    fn read(
        mut self,
        runtime: &Handle,
        sender: &tokio_mpsc::Sender<ReaderItem>,
        answers: &mpsc::Receiver<ReaderReply>,
    ) {
        let mut scratch = TransformScratch::default();
        // Reserves room before it reads, so that it reads ahead by one chunk and no more.
        while let Ok(room) = runtime.block_on(sender.reserve()) {
            let Some(mut item) = self.reader.next() else { return };
            if let ReaderItem::Chunk(chunk) = &mut item {
                if let Some(selection) = &self.selection {
                    selection.apply(&mut chunk.batch);
                }
                let (chain, revision) = self.transform.chain();
                chain.apply(revision, &mut chunk.batch, &mut scratch);
            }
            let large = matches!(&item, ReaderItem::Chunk(chunk) if chunk.permit.is_some());
            room.send(item);
            if large {
                match answers.recv() {
                    Ok(ReaderReply::Settled) => {}
                    Ok(ReaderReply::Again(generation, progress)) => {
                        self.reader.rewind(generation, progress);
                    }
                    Err(_) => return,
                }
            }
        }
    }
}
