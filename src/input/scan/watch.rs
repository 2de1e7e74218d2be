//! Tells the follower to look again: inotify notifications where the kernel sends them, a timer everywhere. Only a
//! hint; the listing decides.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use notify::event::ModifyKind;
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};

/// Names may have been added, removed or changed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hint;

/// A change of a file that leaves names unchanged.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum FileChange {
    Data,
    /// Mode, owner, link count or times.
    Access,
}

/// Watches one directory.
pub(crate) struct Watch {
    hints: Receiver<Hint>,
    sender: SyncSender<Hint>,
    /// Called by the notification thread as soon as bytes were appended or the mode changed, without waiting for a
    /// look. It returns whether a look is needed all the same.
    data: Arc<dyn Fn(FileChange) -> bool + Send + Sync>,
    watcher: Option<RecommendedWatcher>,
}

impl Watch {
    pub(crate) fn new(data: Arc<dyn Fn(FileChange) -> bool + Send + Sync>) -> Self {
        // One pending hint is as good as many.
        let (sender, hints) = sync_channel(1);
        Self { hints, sender, data, watcher: None }
    }

    /// A sender that wakes the follower from another thread.
    pub(crate) fn waker(&self) -> SyncSender<Hint> {
        self.sender.clone()
    }

    /// Whether the kernel reports changes.
    pub(crate) fn is_notified(&self) -> bool {
        self.watcher.is_some()
    }

    /// Asks the kernel to report changes in a directory, instead of the one watched before.
    pub(crate) fn set(&mut self, directory: &Path) -> notify::Result<()> {
        self.watcher = None;
        let (sender, data) = (self.sender.clone(), Arc::clone(&self.data));
        let mut watcher =
            notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
                match event.map(|event| event.kind) {
                    Ok(EventKind::Access(_)) => {}
                    Ok(EventKind::Modify(ModifyKind::Data(_))) if !data(FileChange::Data) => {}
                    Ok(EventKind::Modify(ModifyKind::Metadata(_))) if !data(FileChange::Access) => {
                    }
                    // Any other event, including an overflow of the queue, may concern names.
                    _ => drop(sender.try_send(Hint)),
                }
            })?;
        watcher.watch(directory, RecursiveMode::NonRecursive)?;
        self.watcher = Some(watcher);
        Ok(())
    }

    /// Waits for a hint; `None` after the timeout.
    pub(crate) fn wait(&self, timeout: Duration) -> Option<Hint> {
        self.hints.recv_timeout(timeout).ok()
    }
}
