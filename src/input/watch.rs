//! Says "look again": the kernel's notifications where there are any, a timer everywhere. A hint, never the truth.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use notify::event::ModifyKind;
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};

/// Names came, went or changed, perhaps.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hint;

/// What happened to a file without a change of names.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Change {
    Data,
    /// Mode, owner, links or times.
    Access,
}

/// Watches one directory.
pub(super) struct Watch {
    hints: Receiver<Hint>,
    sender: SyncSender<Hint>,
    /// Called from the kernel's side at once when bytes were appended or the mode changed, without waiting for a look; answers whether one
    /// is needed all the same.
    data: Arc<dyn Fn(Change) -> bool + Send + Sync>,
    watcher: Option<RecommendedWatcher>,
}

impl Watch {
    pub(super) fn new(data: Arc<dyn Fn(Change) -> bool + Send + Sync>) -> Self {
        // One waiting hint is as good as many.
        let (sender, hints) = sync_channel(1);
        Self { hints, sender, data, watcher: None }
    }

    /// A way to wake the watcher from elsewhere.
    pub(super) fn waker(&self) -> SyncSender<Hint> {
        self.sender.clone()
    }

    /// Whether the kernel reports changes.
    pub(super) fn is_notified(&self) -> bool {
        self.watcher.is_some()
    }

    /// Asks the kernel to report changes in a directory, in place of what was watched before.
    pub(super) fn set(&mut self, directory: &Path) -> notify::Result<()> {
        self.watcher = None;
        let (sender, data) = (self.sender.clone(), Arc::clone(&self.data));
        let mut watcher =
            notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
                match event.map(|event| event.kind) {
                    Ok(EventKind::Access(_)) => {}
                    Ok(EventKind::Modify(ModifyKind::Data(_))) if !data(Change::Data) => {}
                    Ok(EventKind::Modify(ModifyKind::Metadata(_))) if !data(Change::Access) => {}
                    // Everything else, an overflow of the queue included, may concern names.
                    _ => drop(sender.try_send(Hint)),
                }
            })?;
        watcher.watch(directory, RecursiveMode::NonRecursive)?;
        self.watcher = Some(watcher);
        Ok(())
    }

    /// Waits for a hint; `None` after the time is up.
    pub(super) fn wait(&self, timeout: Duration) -> Option<Hint> {
        self.hints.recv_timeout(timeout).ok()
    }
}
