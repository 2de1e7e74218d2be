//! The one thread that writes an own log.
//!
//! It takes all bodies that wait, writes each with its commit line, and makes them durable with one fsync. So a body
//! waits for at most two syncs, and a thousand senders need no more of them than one. Then it answers, tells the
//! readers, and rotates when the file is full. Once a second it removes and compresses old files (`rotated.rs`).

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::appender::{
    AppendBody, AppendOutcome, AppendRequest, AppendResult, Appender, BodyFacts, NotAppended,
};
use super::clock::{now, seconds};
use super::committed::Committed;
use super::incoming::IncomingFile;
use super::markers::{Commit, carried};
use super::names::{live_name, rotated_name};
use super::recovery::{LiveFile, Recovered, begin, rfc3339_of};
use super::rotated::{IsPassed, RotatedFile, RotatedFiles};
use super::seen_bodies::SeenBodies;
use super::space::Space;
use crate::disk::{self, File};
use crate::event::Fingerprint;

/// A file that is not empty is rotated at this age, so that events which every output has leave the disk.
const AGE: Duration = Duration::from_mins(10);
/// Between two rounds of upkeep.
const ROUND: Duration = Duration::from_secs(1);
/// After a failed write, the next one is tried no sooner.
const AGAIN: Duration = Duration::from_secs(1);
/// Bytes of bodies written before a sync, so that no body waits long for others.
const GROUP: usize = 16 << 20;

/// The state of the writing thread.
pub(super) struct OwnLogWriter {
    directory: PathBuf,
    live: LiveFile,
    rotated_files: RotatedFiles,
    seen: SeenBodies,
    /// The present group of commits.
    group: u64,
    space: Arc<Space>,
    committed: Arc<Committed>,
    trouble: WriteTrouble,
    /// The length at which the live file is rotated.
    rotate_at: u64,
}

/// What is left of a failed write.
#[derive(Default)]
struct WriteTrouble {
    /// When the next write is tried.
    again: Option<Instant>,
    /// The live file was rotated, and no other could be begun.
    unbegun: bool,
}

impl OwnLogWriter {
    pub(super) fn new(
        recovered: Recovered,
        space: Arc<Space>,
        committed: Arc<Committed>,
        (compress, rotate_at): (bool, u64),
        is_passed: IsPassed,
    ) -> Self {
        let Recovered { directory, live, rotated_files, seen, group } = recovered;
        let rotated_files =
            RotatedFiles::new(&directory, rotated_files, Arc::clone(&space), is_passed, compress);
        let trouble = WriteTrouble::default();
        Self { directory, live, rotated_files, seen, group, space, committed, trouble, rotate_at }
    }

    pub(super) fn start(mut self, name: &str, space: Arc<Space>) -> io::Result<Appender> {
        let (requests, received) = mpsc::channel();
        let appender = Appender::new(requests, space, &self.directory);
        thread::Builder::new().name(format!("spool-{name}")).spawn(move || self.run(&received))?;
        Ok(appender)
    }

    fn run(&mut self, requests: &Receiver<AppendRequest>) {
        let mut round = Instant::now();
        loop {
            match requests.recv_timeout(ROUND.saturating_sub(round.elapsed())) {
                Ok(first) => self.take(first, requests),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if round.elapsed() >= ROUND {
                round = Instant::now();
                self.look_after();
            }
        }
    }

    /// Stores a body and those that wait behind it.
    fn take(&mut self, first: AppendRequest, requests: &Receiver<AppendRequest>) {
        let mut group = CommitGroup::default();
        let mut next = Some(first);
        while let Some(AppendRequest { body, facts, answer }) = next.take() {
            match body {
                AppendBody::Memory(lines, sum) => {
                    self.write(&mut group, &lines, &sum, &facts, answer);
                }
                AppendBody::File(file) => {
                    // Whoever reads this answer can be away: then the sender asks again.
                    let _ = answer.send(self.adopt(file, &facts));
                }
            }
            if group.bytes < GROUP {
                next = requests.try_recv().ok();
            }
        }
        self.sync(group);
        if self.live.length >= self.rotate_at && self.trouble.again.is_none() {
            self.rotate();
        }
    }

    /// Writes one body into a group.
    fn write(
        &mut self,
        group: &mut CommitGroup,
        lines: &[u8],
        sum: &crc32fast::Hasher,
        facts: &BodyFacts,
        answer: oneshot::Sender<AppendResult>,
    ) {
        if let Err(refusal) = self.is_ready() {
            let _ = answer.send(Err(refusal));
            return;
        }
        if self.seen.contains(&facts.digest) {
            return group.waiting.push((answer, AppendOutcome::Repeated));
        }
        let commit = self.commit_of(facts).line(sum);
        let length = (lines.len() + commit.len()) as u64;
        if let Err(why) = self.space.take(length) {
            let _ = answer.send(Err(NotAppended::Full(why)));
            return;
        }
        group.taken += length;
        group.bytes += lines.len() + commit.len();
        let file = &mut self.live.file;
        let written = match group.failure.take() {
            Some(failure) => Err(failure),
            None => file.write_all(lines).and_then(|()| file.write_all(&commit)),
        };
        group.failure = written.err();
        self.remember(facts);
        group.digests.push(facts.digest);
        group.waiting.push((answer, AppendOutcome::Written));
    }

    /// Makes a group durable and answers.
    fn sync(&mut self, group: CommitGroup) {
        let CommitGroup { waiting, digests, taken, bytes: _, failure } = group;
        if digests.is_empty() {
            // All of them are durable already.
            return waiting.into_iter().for_each(|(answer, stored)| drop(answer.send(Ok(stored))));
        }
        let synced = failure.map_or_else(|| self.live.file.sync(), Err);
        let answer_of = match synced {
            Ok(()) => {
                self.live.length += taken;
                self.group += 1;
                self.committed.advance(self.live.length);
                self.space.set_failure(None);
                Ok(())
            }
            Err(error) => {
                for digest in &digests {
                    self.seen.remove(digest);
                }
                self.space.give_back(taken);
                Err(self.failed(&error))
            }
        };
        for (answer, stored) in waiting {
            let _ = answer.send(answer_of.clone().map(|()| stored));
        }
    }

    /// Makes a file with a long body a generation of its own.
    fn adopt(&mut self, mut file: IncomingFile, facts: &BodyFacts) -> AppendResult {
        self.is_ready()?;
        if self.seen.contains(&facts.digest) {
            return Ok(AppendOutcome::Repeated);
        }
        let (sequence, commit) = (self.next_sequence(), self.commit_of(facts));
        let rotated = file.adopt(sequence, &commit).map_err(|error| self.failed(&error))?;
        // Readers see it from here on, so it is known even if its name is not durable yet.
        self.group += 1;
        self.seen.insert((facts.digest, facts.received / 1_000_000_000), sequence, seconds());
        self.rotated_files.push(rotated);
        self.committed.wake();
        disk::sync_directory(&self.directory).map_err(|error| self.failed(&error))?;
        Ok(AppendOutcome::Written)
    }

    fn commit_of(&self, facts: &BodyFacts) -> Commit {
        Commit {
            digest: facts.digest,
            group: self.group,
            events: facts.events,
            bytes: facts.bytes,
            sender: facts.sender.to_string(),
            received: rfc3339_of(facts.received),
        }
    }

    fn remember(&mut self, facts: &BodyFacts) {
        let second = facts.received / 1_000_000_000;
        self.seen.insert((facts.digest, second), self.live.header.sequence, seconds());
    }

    /// Whether the live file can be written to; mends it after a failure.
    fn is_ready(&mut self) -> Result<(), NotAppended> {
        let Some(again) = self.trouble.again else { return Ok(()) };
        if Instant::now() < again {
            return Err(NotAppended::Failed("the last write to the spool failed".into()));
        }
        self.mend().map_err(|error| self.failed(&error))
    }

    /// Makes the names durable. Then opens the live file anew, since the kernel may have dropped what it could not
    /// write, and cuts it back to what is durable.
    fn mend(&mut self) -> io::Result<()> {
        disk::sync_directory(&self.directory)?;
        match File::append_existing(&self.directory.join(live_name())) {
            _ if self.trouble.unbegun => self.begin()?,
            // Somebody removed it. The reader reports what it has not read.
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.begin()?,
            opened => {
                let file = opened?;
                file.set_len(self.live.length)?;
                file.sync()?;
                self.live.file = file;
            }
        }
        self.trouble.again = None;
        self.space.set_failure(None);
        tracing::info!(directory = %self.directory.display(), "the spool takes events again");
        Ok(())
    }

    /// Notes a failure. Bodies are refused before they are read, until the next try.
    fn failed(&mut self, error: &io::Error) -> NotAppended {
        let what = format!("cannot write to {}: {error}", self.directory.display());
        if self.trouble.again.is_none() {
            tracing::error!(
                what,
                "the spool takes no events: senders are answered 503 and send them again"
            );
        }
        self.trouble.again = Some(Instant::now() + AGAIN);
        self.space.set_failure(Some(what.clone()));
        NotAppended::Failed(what)
    }

    /// Removes, compresses and rotates what is due.
    fn look_after(&mut self) {
        if self.is_ready().is_err() {
            return;
        }
        self.seen.forget(seconds());
        let is_old = self.live.begun.elapsed() >= AGE;
        if is_old && self.live.length > self.live.header_bytes {
            self.rotate();
        }
        if self.trouble.again.is_some() {
            return;
        }
        if let Err(error) = self.remove_passed() {
            self.failed(&error);
        }
        self.rotated_files.compress_waiting();
    }

    /// Removes the generations that every output has passed. The live file takes over the digests of their bodies.
    fn remove_passed(&mut self) -> io::Result<()> {
        while let Some(passed) = self.rotated_files.next_passed() {
            let held = self.seen.held_by(passed.sequence);
            if !held.is_empty() {
                let line = carried(&held);
                self.live.file.write_all(&line)?;
                self.live.file.sync()?;
                self.live.length += line.len() as u64;
                self.space.add(line.len() as u64);
                self.committed.advance(self.live.length);
                self.seen.carry(passed.sequence, self.live.header.sequence);
            }
            self.rotated_files.remove(&passed)?;
        }
        Ok(())
    }

    /// Begins another file. If the present one cannot be renamed, it grows on.
    fn rotate(&mut self) {
        let (sequence, id) = (self.live.header.sequence, self.live.header.id);
        let to = self.directory.join(rotated_name(sequence));
        if let Err(error) = disk::rename(&self.directory.join(live_name()), &to) {
            self.failed(&error);
            return;
        }
        let (bytes, rotated) = (self.live.length, Instant::now());
        self.rotated_files.push(RotatedFile {
            sequence,
            id: Some(id),
            bytes,
            gzip: false,
            rotated,
        });
        self.trouble.unbegun = true;
        if let Err(error) = self.begin() {
            self.failed(&error);
        }
    }

    /// Begins a file. The new name of the one before is durable before another file takes its old one.
    fn begin(&mut self) -> io::Result<()> {
        disk::sync_directory(&self.directory)?;
        self.live =
            begin(&self.directory, (self.next_sequence(), self.group), now(), &self.committed)?;
        self.trouble.unbegun = false;
        self.space.add(self.live.header_bytes);
        self.committed.wake();
        Ok(())
    }

    fn next_sequence(&self) -> u64 {
        self.rotated_files.last_sequence().max(self.live.header.sequence) + 1
    }
}

/// Bodies that become durable together.
#[derive(Default)]
struct CommitGroup {
    waiting: Vec<(oneshot::Sender<AppendResult>, AppendOutcome)>,
    digests: Vec<Fingerprint>,
    /// Bytes of the lines and commit lines.
    bytes: usize,
    taken: u64,
    failure: Option<io::Error>,
}
