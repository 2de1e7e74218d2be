//! The reading thread of a pipeline: reads one chunk ahead, applies the transform to its events, and waits while the
//! pipeline is busy (backpressure).

use std::io;
use std::sync::Arc;
use std::sync::mpsc;

use tokio::sync::mpsc as tokio_mpsc;

use super::selection::Selection;
use crate::event::{Fingerprint, Progress};
use crate::input::{Reader, ReaderItem};
use crate::transform::{ReloadableChain, TransformScratch};

/// How the reader continues after a chunk that holds the process's one large buffer.
pub(super) enum Reply {
    Settled,
    /// The pipeline released the buffer because the chunk has to wait: read it again from here.
    Again(Fingerprint, Progress),
}

/// The pipeline's ends of the channels to the thread.
pub(super) struct Reading {
    pub(super) news: tokio_mpsc::Receiver<ReaderItem>,
    pub(super) replies: mpsc::Sender<Reply>,
}

/// Starts the thread. It ends when the input is stopped or the pipeline is dropped.
///
/// # Errors If the thread cannot be started.
pub(super) fn start(
    name: &str,
    mut reader: Reader,
    transform: Arc<ReloadableChain>,
    selection: Option<Arc<Selection>>,
) -> io::Result<Reading> {
    let runtime = tokio::runtime::Handle::current();
    let (sender, news) = tokio_mpsc::channel(1);
    let (replies, answers) = mpsc::channel();
    let thread = std::thread::Builder::new().name(format!("read-{name}"));
    thread.spawn(move || {
        let mut kept = TransformScratch::default();
        // Reserves room before it reads, so that it reads ahead by one chunk and no more.
        while let Ok(room) = runtime.block_on(sender.reserve()) {
            let Some(mut something) = reader.next() else { return };
            if let ReaderItem::Chunk(chunk) = &mut something {
                if let Some(selection) = &selection {
                    selection.apply(&mut chunk.batch);
                }
                let (chain, revision) = transform.chain();
                chain.apply(revision, &mut chunk.batch, &mut kept);
            }
            let large = matches!(&something, ReaderItem::Chunk(chunk) if chunk.permit.is_some());
            room.send(something);
            if large {
                match answers.recv() {
                    Ok(Reply::Settled) => {}
                    Ok(Reply::Again(generation, progress)) => reader.rewind(generation, progress),
                    Err(_) => return,
                }
            }
        }
    })?;
    Ok(Reading { news, replies })
}
