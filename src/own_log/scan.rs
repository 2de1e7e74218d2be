//! Reads a file of an own log from its beginning: how much of it is committed, and which bodies are in it.

use std::io::{self, BufRead as _, BufReader, Read};

use super::markers::{CarriedDigest, Commit, LogHeader, MarkerLine};

/// Bytes read at once.
const STEP: usize = 256 << 10;
/// The longest line of the agent's own: the digests that are carried from a removed file.
const LONGEST: u64 = 64 << 20;

/// What a file of an own log holds.
#[derive(Debug, Default)]
pub(super) struct Scanned {
    pub(super) header: Option<LogHeader>,
    /// Bytes up to the end of the last commit line that holds, or of the header.
    pub(super) committed: u64,
    /// The digests of its bodies and those that it carries.
    pub(super) digests: Vec<CarriedDigest>,
    /// The last group of commits.
    pub(super) group: u64,
}

/// Which bytes are committed, found commit by commit.
///
/// All groups before the last one were durable before the next was begun: damage in them came later, and they are
/// kept. A body that is damaged in the last group may never have reached the disk, and nobody was told that it had.
/// The file ends before it. Groups are numbered without a hole, so a number that is missing is a damaged group.
#[derive(Default)]
struct CommitSearch {
    group: u64,
    /// The end of the last commit that holds.
    last_end: u64,
    /// The end of the last commit with no damage before it in its group.
    sound_end: u64,
    /// There is damage in this group.
    damaged: bool,
    /// There is damage since the last commit that holds.
    damaged_since: bool,
}

impl CommitSearch {
    fn begin(&mut self, group: u64, end: u64) {
        self.group = group.saturating_sub(1);
        (self.last_end, self.sound_end) = (end, end);
    }

    fn commit(&mut self, group: u64, end: u64) {
        if group > self.group {
            self.sound_end = self.last_end;
            self.damaged = false;
            // The damage is in a group before this one, which was durable.
            self.damaged_since &= group == self.group + 1;
            self.group = group;
        }
        self.damaged |= std::mem::take(&mut self.damaged_since);
        self.last_end = end;
        if !self.damaged {
            self.sound_end = end;
        }
    }
}

/// Reads to the end of the file.
///
/// # Errors
/// Those of reading.
pub(super) fn scan(source: impl Read) -> io::Result<Scanned> {
    let mut reader = BufReader::with_capacity(STEP, source);
    let mut scanned = Scanned::default();
    let mut search = CommitSearch::default();
    let (mut lines, mut offset) = (crc32fast::Hasher::new(), 0);
    let mut bodies = Vec::new();
    while let Some(first) = reader.fill_buf()?.first() {
        if *first != b'#' {
            offset += pass_line(&mut reader, &mut lines)?;
            continue;
        }
        let mut line = Vec::new();
        offset += reader.by_ref().take(LONGEST).read_until(b'\n', &mut line)? as u64;
        match MarkerLine::parse(&line, &lines) {
            Some(MarkerLine::Header(header)) if scanned.header.is_none() => {
                search.begin(header.group, offset);
                scanned.header = Some(header);
            }
            Some(MarkerLine::Commit(commit)) => {
                bodies.push((offset, body(&commit)));
                search.commit(commit.group, offset);
            }
            Some(MarkerLine::Carried(digests)) => {
                bodies.extend(digests.into_iter().map(|digest| (offset, digest)));
                search.commit(search.group, offset);
            }
            Some(MarkerLine::Header(_)) | None => search.damaged_since = true,
        }
        lines = crc32fast::Hasher::new();
    }
    scanned.committed = search.sound_end;
    scanned.group = search.group;
    bodies.retain(|(end, _)| *end <= search.sound_end);
    scanned.digests = bodies.into_iter().map(|(_, digest)| digest).collect();
    Ok(scanned)
}

fn body(commit: &Commit) -> CarriedDigest {
    (commit.digest, commit.second())
}

/// Goes to the end of a line; returns its length.
fn pass_line(reader: &mut BufReader<impl Read>, lines: &mut crc32fast::Hasher) -> io::Result<u64> {
    let mut length = 0;
    loop {
        let bytes = reader.fill_buf()?;
        let end = memchr::memchr(b'\n', bytes).map(|newline| newline + 1);
        let taken = end.unwrap_or(bytes.len());
        lines.update(&bytes[..taken]);
        reader.consume(taken);
        length += taken as u64;
        if end.is_some() || taken == 0 {
            return Ok(length);
        }
    }
}
