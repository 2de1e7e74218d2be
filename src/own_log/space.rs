//! The space that an own log may take: `spool.max_bytes`, and `spool.min_free` on its file system.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::config::{MinFree, Spool};
use crate::disk::FreeSpace;

/// The free space is measured at most this often.
const MEASURED: Duration = Duration::from_millis(200);

/// The bytes in use, and whether more may be written.
#[derive(Debug)]
pub(crate) struct Space {
    directory: PathBuf,
    max_bytes: u64,
    min_free: MinFree,
    used: AtomicU64,
    free: Mutex<Option<(Instant, FreeSpace)>>,
    /// Why the last write failed, until one succeeds.
    failure: Mutex<Option<String>>,
}

impl Space {
    pub(super) fn new(directory: &Path, spool: &Spool, used: u64) -> Self {
        Self {
            directory: directory.to_owned(),
            max_bytes: spool.max_bytes,
            min_free: spool.min_free,
            used: AtomicU64::new(used),
            free: Mutex::default(),
            failure: Mutex::default(),
        }
    }

    /// The most bytes that the log may take.
    pub(crate) fn max_bytes(&self) -> u64 {
        self.max_bytes
    }

    /// The bytes that it takes, with those of bodies on their way.
    pub(crate) fn used(&self) -> u64 {
        self.used.load(Relaxed)
    }

    /// Whether `more` bytes can be written now.
    ///
    /// # Errors
    /// Says what stands in the way, and the way out.
    pub(crate) fn room(&self, more: u64) -> Result<(), String> {
        if let Some(failure) = &*self.failure.lock().unwrap_or_else(PoisonError::into_inner) {
            return Err(failure.clone());
        }
        self.fits(more)
    }

    /// Takes `more` bytes, whether or not the last write failed.
    ///
    /// # Errors
    /// Says which bound is reached, and the way out.
    pub(crate) fn take(&self, more: u64) -> Result<(), String> {
        self.fits(more)?;
        self.used.fetch_add(more, Relaxed);
        Ok(())
    }

    /// Gives bytes back.
    pub(crate) fn give_back(&self, bytes: u64) {
        // A count that is off by rounding must not wrap.
        let less = |used: u64| Some(used.saturating_sub(bytes));
        let _ = self.used.fetch_update(Relaxed, Relaxed, less);
    }

    /// Counts bytes that were written without being asked for: headers and carried digests.
    pub(super) fn add(&self, bytes: u64) {
        self.used.fetch_add(bytes, Relaxed);
    }

    pub(super) fn set_failure(&self, failure: Option<String>) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = failure;
    }

    fn fits(&self, more: u64) -> Result<(), String> {
        let used = self.used();
        if used.saturating_add(more) > self.max_bytes {
            return Err(format!(
                "the spool holds {used} of the {} bytes that `spool.max_bytes` allows, until the outputs have taken them: see `auditrail status`, or raise it",
                self.max_bytes
            ));
        }
        // A file system that cannot tell is written to; a write that fails is answered too.
        let Some(FreeSpace { free, total }) = self.free() else { return Ok(()) };
        let needed = self.min_free.of(total);
        if free < needed.saturating_add(more) {
            return Err(format!(
                "the file system of {} has {free} bytes free and `spool.min_free` asks for {needed}: make room, or lower it",
                self.directory.display(),
            ));
        }
        Ok(())
    }

    fn free(&self) -> Option<FreeSpace> {
        let mut known = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, free)) = known.filter(|(at, _)| at.elapsed() < MEASURED) {
            return Some(free);
        }
        let free = FreeSpace::of(&self.directory).ok()?;
        *known = Some((Instant::now(), free));
        Some(free)
    }
}
