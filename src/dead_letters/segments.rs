//! The segment files with the dead letters of one pair. Appended letters are fsynced before they count. A removed
//! letter is gone for good once the rewritten segment has replaced the old one.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use super::dead_letter::{DeadLetter, StoredDeadLetter};
use super::frame::{self, FramePlace, SegmentItem};
use crate::disk::{self, OwnFile};
use crate::event::Position;
use crate::telemetry::Time;

/// A segment is closed at this size in bytes, so that removing a letter rewrites little. A larger letter gets a
/// segment of its own.
const SEGMENT: u64 = 4 << 20;

/// Number and size of the letters.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Count {
    pub(crate) letters: u64,
    /// Bytes on disk.
    pub(crate) bytes: u64,
    /// Damaged stretches of segments.
    pub(crate) damaged: u64,
    /// When the oldest letter was first refused.
    pub(crate) oldest: Option<Time>,
}

/// The segments by number.
#[derive(Debug)]
pub(super) struct Segments {
    pub(super) directory: PathBuf,
    pub(super) segments: BTreeMap<u32, Segment>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Segment {
    pub(super) bytes: u64,
    /// Damaged stretches.
    pub(super) damaged: u64,
}

/// What a rewrite does with a letter.
pub(super) enum RewriteAction {
    Keep,
    Remove,
    Answer(String),
}

impl Segments {
    /// Finds the segments and passes each letter to `each`. With `mend`, removes what a kill left unfinished.
    pub(super) fn open(
        directory: PathBuf,
        mend: bool,
        mut each: impl FnMut(u32, DeadLetter, u64),
    ) -> io::Result<Self> {
        let mut shelf = Self { directory, segments: BTreeMap::new() };
        let numbers = shelf.numbers(mend)?;
        for number in &numbers {
            let mut segment = Segment::default();
            let torn = shelf.scan(*number, |found, length| {
                segment.bytes = length;
                match found {
                    SegmentItem::Letter(place) => {
                        let size = place.end() - place.at;
                        match serde_json::from_slice(&place.meta) {
                            Ok(letter) => each(*number, letter, size),
                            // The frame is intact but another version wrote the meta: it is left alone and counted as
                            // damaged.
                            Err(_) => segment.damaged += 1,
                        }
                    }
                    SegmentItem::Damaged(..) => segment.damaged += 1,
                }
                Ok(())
            });
            let (torn, length) = match torn {
                // The agent removed it while another process only reads.
                Err(error) if error.kind() == io::ErrorKind::NotFound && !mend => continue,
                other => other?,
            };
            segment.bytes = torn.unwrap_or(length);
            let is_last = Some(number) == numbers.last();
            if let Some(at) = torn.filter(|_| mend && is_last) {
                disk::File::existing(&shelf.path(*number))?.set_len(at)?;
            } else if torn.is_some() && !is_last {
                segment.bytes = length;
                segment.damaged += 1;
            }
            shelf.segments.insert(*number, segment);
        }
        Ok(shelf)
    }

    fn numbers(&self, mend: bool) -> io::Result<Vec<u32>> {
        let entries = match disk::list(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        let mut numbers = Vec::new();
        for entry in entries {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if mend && name.strip_suffix(".new").is_some() {
                disk::remove_file(&path)?;
            }
            numbers.extend(name.strip_suffix(".seg").and_then(|digits| digits.parse::<u32>().ok()));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    pub(super) fn count(&self, letters: usize) -> Count {
        let segments = self.segments.values();
        let empty = Count { letters: letters as u64, ..Count::default() };
        segments.fold(empty, |count, segment| Count {
            bytes: count.bytes + segment.bytes,
            damaged: count.damaged + segment.damaged,
            ..count
        })
    }

    fn path(&self, number: u32) -> PathBuf {
        self.directory.join(format!("{number:06}.seg"))
    }

    /// Scans a segment; returns the offset of a torn end, and the segment's length.
    fn scan(
        &self,
        number: u32,
        mut each: impl FnMut(SegmentItem, u64) -> io::Result<()>,
    ) -> io::Result<(Option<u64>, u64)> {
        let mut file = OwnFile::open(&self.path(number))?;
        let length = file.length()?;
        Ok((frame::scan(&mut file, length, |found| each(found, length))?, length))
    }

    /// Appends letters and returns when they are fsynced, with the segment of each. After an error none of them
    /// counts.
    pub(super) fn append(&mut self, letters: &[(Vec<u8>, &[u8])]) -> io::Result<Vec<u32>> {
        let before = self.segments.clone();
        let appended = self.try_append(letters);
        if appended.is_err() {
            // Cuts off what was written. If that fails, `begin` does it before the next letter.
            for (number, segment) in &self.segments {
                let length = before.get(number).map_or(0, |segment| segment.bytes);
                if length < segment.bytes
                    && let Ok(file) = disk::File::existing(&self.path(*number))
                {
                    let _ = file.set_len(length);
                }
            }
            let made = self.segments.keys().filter(|number| !before.contains_key(number));
            made.for_each(|number| drop(disk::remove_file(&self.path(*number))));
            self.segments = before;
        }
        appended
    }

    fn try_append(&mut self, letters: &[(Vec<u8>, &[u8])]) -> io::Result<Vec<u32>> {
        let mut numbers = Vec::with_capacity(letters.len());
        let mut open: Option<(u32, disk::File)> = None;
        for (meta, line) in letters {
            let size = frame::size(meta, line);
            let last = self.segments.last_key_value().map(|(number, segment)| (*number, *segment));
            let fits = |segment: Segment| segment.bytes == 0 || segment.bytes + size <= SEGMENT;
            let (number, is_new) = match last {
                Some((number, segment)) if fits(segment) => (number, false),
                Some((number, _)) => (number + 1, true),
                None => (1, true),
            };
            let file = match &mut open {
                Some((present, file)) if *present == number => file,
                other => {
                    if let Some((_, full)) = other {
                        full.sync()?;
                    }
                    let file = self.begin(number, is_new)?;
                    &mut other.insert((number, file)).1
                }
            };
            self.segments.entry(number).or_default().bytes += size;
            write(file, meta, line)?;
            numbers.push(number);
        }
        open.map_or(Ok(()), |(_, file)| file.sync())?;
        Ok(numbers)
    }

    /// Opens a segment to append to, truncated to the bytes that count.
    fn begin(&mut self, number: u32, is_new: bool) -> io::Result<disk::File> {
        if self.segments.is_empty() {
            disk::create_dir_all(&self.directory)?;
            for above in self.directory.ancestors().skip(1).take(2) {
                disk::sync_directory(above)?;
            }
        }
        let file = disk::File::append(&self.path(number))?;
        let bytes = self.segments.entry(number).or_default().bytes;
        if file.length()? != bytes {
            file.set_len(bytes)?;
        }
        if is_new {
            disk::sync_directory(&self.directory)?;
        }
        Ok(file)
    }

    /// Rewrites a segment according to `fate`; with `damaged`, also removes damaged stretches. A letter larger than
    /// [`SEGMENT`] is not rewritten and keeps its first answer. The change is durable after [`Segments::sync`].
    pub(super) fn rewrite(
        &mut self,
        number: u32,
        damaged: bool,
        fate: impl Fn(&DeadLetter) -> RewriteAction,
    ) -> io::Result<()> {
        let (mut kept, mut changed) = (Vec::new(), false);
        let mut segment = Segment::default();
        self.scan(number, |found, _| {
            match found {
                SegmentItem::Letter(place) => match read(&place)
                    .map(|letter| (fate(&letter), letter))
                {
                    Some((RewriteAction::Remove, _)) => changed = true,
                    Some((RewriteAction::Answer(answer), letter))
                        if u64::from(place.line) <= SEGMENT =>
                    {
                        changed = true;
                        kept.push((place.at, place.end(), Some((letter.answered(&answer), place))));
                    }
                    None if damaged => changed = true,
                    None => {
                        segment.damaged += 1;
                        kept.push((place.at, place.end(), None));
                    }
                    Some(_) => kept.push((place.at, place.end(), None)),
                },
                SegmentItem::Damaged(..) if damaged => changed = true,
                SegmentItem::Damaged(from, to) => {
                    segment.damaged += 1;
                    kept.push((from, to, None));
                }
            }
            Ok(())
        })?;
        if !changed {
            return Ok(());
        }
        let path = self.path(number);
        if kept.is_empty() {
            disk::remove_file(&path)?;
            self.segments.remove(&number);
            return Ok(());
        }
        let mut file = OwnFile::open(&path)?;
        let mut bytes = Vec::new();
        for (from, to, answered) in kept {
            if let Some((letter, place)) = answered {
                let line = line(&mut file, &place)?;
                bytes.extend(frame::opening(&serde_json::to_vec(&letter)?, &line));
                bytes.extend(line);
            } else {
                file.seek(SeekFrom::Start(from))?;
                let end = bytes.len() as u64 + (to - from);
                file.by_ref().take(to - from).read_to_end(&mut bytes)?;
                if bytes.len() as u64 != end {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                bytes.pop();
            }
            // Repairs a damaged newline.
            bytes.push(b'\n');
        }
        let beside = path.with_extension("new");
        disk::write_synced(&beside, &bytes)?;
        disk::rename(&beside, &path)?;
        segment.bytes = bytes.len() as u64;
        self.segments.insert(number, segment);
        Ok(())
    }

    /// Fsyncs the directory, so that the list of segments is durable.
    pub(super) fn sync(&self) -> io::Result<()> {
        match disk::sync_directory(&self.directory) {
            // There was never a letter, so there is no directory.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// Wanted letters of one segment, as many as fit, but at least one if there is any. All are of one generation and
    /// scope.
    pub(super) fn page(
        &self,
        number: u32,
        (max_bytes, max_events): (usize, usize),
        wanted: impl Fn(&Position) -> bool,
    ) -> io::Result<Vec<StoredDeadLetter>> {
        let mut places: Vec<(DeadLetter, FramePlace)> = Vec::new();
        let mut bytes = 0_u64;
        self.scan(number, |found, _| {
            let SegmentItem::Letter(place) = found else { return Ok(()) };
            let Some(letter) = read(&place) else { return Ok(()) };
            let joins = places.first().is_none_or(|(first, _)| {
                (first.generation, &first.scope) == (letter.generation, &letter.scope)
                    && bytes + u64::from(place.line) <= max_bytes as u64
                    && places.len() < max_events
            });
            if joins && wanted(&letter.position()) {
                bytes += u64::from(place.line);
                places.push((letter, place));
            }
            Ok(())
        })?;
        let mut file = OwnFile::open(&self.path(number))?;
        let kept = places.into_iter().map(|(letter, place)| {
            let line = line(&mut file, &place)?;
            Ok(StoredDeadLetter { letter, line })
        });
        kept.collect()
    }
}

fn read(place: &FramePlace) -> Option<DeadLetter> {
    serde_json::from_slice(&place.meta).ok()
}

fn line(file: &mut OwnFile, place: &FramePlace) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(place.line_at()))?;
    let mut line = vec![0; place.line as usize];
    file.read_exact(&mut line)?;
    Ok(line)
}

fn write(file: &mut disk::File, meta: &[u8], line: &[u8]) -> io::Result<()> {
    let mut bytes = frame::opening(meta, line);
    // A large line is written separately instead of being copied.
    if line.len() as u64 > SEGMENT {
        file.write_all(&bytes)?;
        file.write_all(line)?;
        return file.write_all(b"\n");
    }
    bytes.extend_from_slice(line);
    bytes.push(b'\n');
    file.write_all(&bytes)
}

/// The names in a directory, sorted; none if it does not exist.
pub(super) fn names(directory: &Path) -> io::Result<Vec<String>> {
    let entries = match disk::list(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry?.file_name().into_string().ok());
    }
    names.sort_unstable();
    Ok(names)
}

/// Passes wanted letters to `take` until it returns `false`. Another process may be changing the segments.
pub(super) fn each(
    directory: &Path,
    mut wanted: impl FnMut(&DeadLetter, u64) -> bool,
    mut take: impl FnMut(StoredDeadLetter) -> bool,
) -> io::Result<()> {
    let shelf = Segments { directory: directory.to_owned(), segments: BTreeMap::new() };
    for number in shelf.numbers(false)? {
        let mut file = match OwnFile::open(&shelf.path(number)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            other => other?,
        };
        let length = file.length()?;
        let mut places = Vec::new();
        frame::scan(&mut file, length, |found| {
            if let SegmentItem::Letter(place) = found
                && let Some(letter) = read(&place)
                && wanted(&letter, place.end() - place.at)
            {
                places.push((letter, place));
            }
            Ok(())
        })?;
        for (letter, place) in places {
            let line = line(&mut file, &place)?;
            if !take(StoredDeadLetter { letter, line }) {
                return Ok(());
            }
        }
    }
    Ok(())
}
