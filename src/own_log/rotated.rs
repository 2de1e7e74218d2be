//! The rotated generations of an own log: which there are, which are removed, and which are compressed.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::compress::compress;
use super::names::{compressed_name, rotated_name};
use super::space::Space;
use crate::disk;
use crate::event::Fingerprint;

/// A generation that waits for an output this long after its rotation is compressed.
const WAITED: Duration = Duration::from_secs(30);
/// After a failed compression, the next one is tried no sooner.
const AGAIN: Duration = Duration::from_mins(1);

/// A generation to which nothing is written any more.
#[derive(Clone, Debug)]
pub(super) struct RotatedFile {
    pub(super) sequence: u64,
    /// The fingerprint of the generation. `None` if its header cannot be read; it is then never removed.
    pub(super) id: Option<Fingerprint>,
    /// On disk.
    pub(super) bytes: u64,
    pub(super) gzip: bool,
    pub(super) rotated: Instant,
}

impl RotatedFile {
    /// The name of its file.
    pub(super) fn file(&self) -> String {
        if self.gzip { compressed_name(self.sequence) } else { rotated_name(self.sequence) }
    }
}

/// Says whether every output has passed a generation, according to the checkpoints written.
pub(super) type IsPassed = Box<dyn Fn(Fingerprint) -> bool + Send>;

/// The rotated generations, oldest first.
pub(super) struct RotatedFiles {
    directory: PathBuf,
    all: Vec<RotatedFile>,
    space: Arc<Space>,
    is_passed: IsPassed,
    /// Whether generations that wait are compressed.
    compress: bool,
    /// The number of the generation that is being compressed.
    compressing: Option<(u64, JoinHandle<io::Result<u64>>)>,
    /// When compression is tried again after a failure.
    again: Option<Instant>,
}

impl RotatedFiles {
    pub(super) fn new(
        directory: &Path,
        all: Vec<RotatedFile>,
        space: Arc<Space>,
        is_passed: IsPassed,
        compress: bool,
    ) -> Self {
        let directory = directory.to_owned();
        Self { directory, all, space, is_passed, compress, compressing: None, again: None }
    }

    pub(super) fn push(&mut self, file: RotatedFile) {
        self.all.push(file);
    }

    /// The highest number in use; 0 if there is none.
    pub(super) fn last_sequence(&self) -> u64 {
        self.all.iter().map(|file| file.sequence).max().unwrap_or_default()
    }

    /// The oldest generation that no output needs any more.
    pub(super) fn next_passed(&self) -> Option<RotatedFile> {
        let busy = self.compressing.as_ref().map(|(sequence, _)| *sequence);
        let passed = |file: &&RotatedFile| file.id.is_some_and(|id| (self.is_passed)(id));
        let mut idle = self.all.iter().filter(|file| Some(file.sequence) != busy);
        idle.find(passed).cloned()
    }

    /// Removes a generation.
    ///
    /// # Errors
    /// Those of the file system; it is then still listed.
    pub(super) fn remove(&mut self, file: &RotatedFile) -> io::Result<()> {
        match disk::remove_file(&self.directory.join(file.file())) {
            // Somebody removed it by hand.
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        self.all.retain(|other| other.sequence != file.sequence);
        self.space.give_back(file.bytes);
        Ok(())
    }

    /// Takes the result of the last compression, and begins the next one.
    pub(super) fn compress_waiting(&mut self) {
        if self.compressing.as_ref().is_some_and(|(_, job)| !job.is_finished()) {
            return;
        }
        if let Some((sequence, job)) = self.compressing.take() {
            let done = job.join().unwrap_or_else(|_| Err(io::Error::other("the thread broke")));
            self.compressed(sequence, done);
        }
        if !self.compress || self.again.is_some_and(|again| Instant::now() < again) {
            return;
        }
        let waits = |file: &&RotatedFile| !file.gzip && file.rotated.elapsed() >= WAITED;
        let Some(next) = self.all.iter().find(waits) else { return };
        let (directory, sequence) = (self.directory.clone(), next.sequence);
        let job = thread::Builder::new()
            .name("spool-gzip".into())
            .spawn(move || compress(&directory, sequence));
        match job {
            Ok(job) => self.compressing = Some((sequence, job)),
            Err(error) => self.compressed(sequence, Err(error)),
        }
    }

    fn compressed(&mut self, sequence: u64, done: io::Result<u64>) {
        let file = self.all.iter_mut().find(|file| file.sequence == sequence);
        match (done, file) {
            (Ok(bytes), Some(file)) => {
                self.space.give_back(file.bytes.saturating_sub(bytes));
                (file.bytes, file.gzip) = (bytes, true);
            }
            (Ok(_), None) => {}
            (Err(error), _) => {
                let file = self.directory.join(rotated_name(sequence));
                tracing::warn!(file = %file.display(), %error, "cannot compress a generation of the spool, which stays as it is");
                self.again = Some(Instant::now() + AGAIN);
            }
        }
    }
}
