//! The framing of a segment of dead letters: one letter per line, so that the letters after any damage are found
//! again. Pure.
//!
//! ```text
//! L1 CRC32 METALENGTH LINELENGTH {meta} line⏎
//! ```
//!
//! Three numbers of eight hexadecimal digits. The CRC-32 covers everything after it except the final newline. Meta is
//! JSON (`dead_letter.rs`); the line is the event's line unchanged, UTF-8 or not. Neither contains a newline, so
//! after damage the next letter begins behind the next newline. If the newline itself is damaged, the lengths locate
//! the next letter.

use std::io::{self, Read, Seek, SeekFrom};

const TAG: &[u8] = b"L1 ";
/// Bytes before the meta.
const HEAD: usize = 30;
/// Longest meta that is accepted, in bytes.
pub(super) const META_MAX: usize = 64 << 10;
const CHUNK: usize = 64 << 10;

/// The content of a stretch of a segment.
#[derive(Debug, PartialEq)]
pub(super) enum SegmentItem {
    Letter(FramePlace),
    /// Damaged from the first offset up to the second.
    Damaged(u64, u64),
}

/// An undamaged letter and its position in the segment.
#[derive(Debug, PartialEq)]
pub(super) struct FramePlace {
    pub(super) at: u64,
    pub(super) meta: Vec<u8>,
    /// Length of its line in bytes.
    pub(super) line: u32,
}

impl FramePlace {
    /// Offset where its line begins.
    pub(super) fn line_at(&self) -> u64 {
        self.at + (HEAD + self.meta.len() + 1) as u64
    }

    /// Offset where the next letter begins.
    pub(super) fn end(&self) -> u64 {
        self.line_at() + u64::from(self.line) + 1
    }
}

/// Bytes that a letter takes in its segment.
pub(super) fn size(meta: &[u8], line: &[u8]) -> u64 {
    (HEAD + meta.len() + 1 + line.len() + 1) as u64
}

/// The bytes of a letter before its line.
pub(super) fn opening(meta: &[u8], line: &[u8]) -> Vec<u8> {
    let lengths = format!("{:08x} {:08x} ", meta.len(), line.len());
    let mut crc = crc32fast::Hasher::new();
    for part in [lengths.as_bytes(), meta, b" ", line] {
        crc.update(part);
    }
    let mut opening = Vec::with_capacity(HEAD + meta.len() + 1);
    opening.extend_from_slice(TAG);
    opening.extend_from_slice(format!("{:08x} ", crc.finalize()).as_bytes());
    opening.extend_from_slice(lengths.as_bytes());
    opening.extend_from_slice(meta);
    opening.push(b' ');
    opening
}

/// Scans a segment of this length; returns the offset of a torn last letter.
pub(super) fn scan<R: Read + Seek>(
    source: &mut R,
    length: u64,
    mut each: impl FnMut(SegmentItem) -> io::Result<()>,
) -> io::Result<Option<u64>> {
    let (mut at, mut damaged, mut newline) = (0, None, None);
    while at < length {
        if newline.is_none_or(|newline| newline < at) {
            newline = Some(next_newline(source, at, length)?);
        }
        // The segment's length if there is no further newline.
        let end = newline.unwrap_or(length);
        let place = place(source, at, end, length)?;
        if (place.is_some() || end == length)
            && let Some(from) = damaged.take()
        {
            each(SegmentItem::Damaged(from, at))?;
        }
        match place {
            Some(place) => {
                at = place.end();
                each(SegmentItem::Letter(place))?;
            }
            None if end == length => return Ok(Some(at)),
            None => {
                damaged.get_or_insert(at);
                at = end + 1;
            }
        }
    }
    if let Some(from) = damaged {
        each(SegmentItem::Damaged(from, length))?;
    }
    Ok(None)
}

/// Offset of the next newline, or `length`.
fn next_newline<R: Read + Seek>(source: &mut R, mut at: u64, length: u64) -> io::Result<u64> {
    source.seek(SeekFrom::Start(at))?;
    let mut chunk = vec![0; CHUNK];
    while at < length {
        let wanted = CHUNK.min(usize::try_from(length - at).unwrap_or(CHUNK));
        let got = source.read(&mut chunk[..wanted])?;
        if got == 0 {
            break;
        }
        if let Some(found) = memchr::memchr(b'\n', &chunk[..got]) {
            return Ok(at + found as u64);
        }
        at += got as u64;
    }
    Ok(length)
}

/// The letter at `at`, if an undamaged one is there whose line ends at `end` at the latest.
fn place<R: Read + Seek>(
    source: &mut R,
    at: u64,
    end: u64,
    length: u64,
) -> io::Result<Option<FramePlace>> {
    if length - at < HEAD as u64 {
        return Ok(None);
    }
    source.seek(SeekFrom::Start(at))?;
    let mut head = [0; HEAD];
    source.read_exact(&mut head)?;
    let Some((wanted, meta, line)) = numbers(&head) else { return Ok(None) };
    let last = at + HEAD as u64 + u64::from(meta) + 1 + u64::from(line);
    if meta as usize > META_MAX || last > end || last >= length {
        return Ok(None);
    }
    let mut bytes = vec![0; meta as usize];
    source.read_exact(&mut bytes)?;
    let mut crc = crc32fast::Hasher::new();
    crc.update(&head[12..]);
    crc.update(&bytes);
    let (mut rest, mut chunk) = (u64::from(line) + 1, vec![0; CHUNK]);
    while rest > 0 {
        let wanted = CHUNK.min(usize::try_from(rest).unwrap_or(CHUNK));
        source.read_exact(&mut chunk[..wanted])?;
        crc.update(&chunk[..wanted]);
        rest -= wanted as u64;
    }
    Ok((crc.finalize() == wanted).then_some(FramePlace { at, meta: bytes, line }))
}

/// CRC-32 and the two lengths, accepted only as [`opening`] writes them.
fn numbers(head: &[u8; HEAD]) -> Option<(u32, u32, u32)> {
    let number = |from: usize| {
        let digits = &head[from..from + 8];
        let fits = digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
        let text = std::str::from_utf8(digits).ok().filter(|_| fits)?;
        (head[from + 8] == b' ').then(|| u32::from_str_radix(text, 16).ok())?
    };
    head.starts_with(TAG).then(|| Some((number(3)?, number(12)?, number(21)?)))?
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;

    fn segment(letters: &[(&[u8], &[u8])]) -> Vec<u8> {
        let whole = |(meta, line): &(&[u8], &[u8])| [&opening(meta, line), *line, b"\n"].concat();
        letters.iter().flat_map(whole).collect()
    }

    /// The lines found, the number of damaged stretches, and where the torn end begins.
    fn read(bytes: &[u8]) -> (Vec<Vec<u8>>, usize, Option<u64>) {
        let (mut lines, mut damaged) = (Vec::new(), 0);
        let torn = scan(&mut Cursor::new(bytes), bytes.len() as u64, |found| {
            match found {
                SegmentItem::Letter(place) => {
                    let at = usize::try_from(place.line_at()).unwrap();
                    lines.push(bytes[at..at + place.line as usize].to_vec());
                }
                SegmentItem::Damaged(from, to) => {
                    assert!(from < to);
                    damaged += 1;
                }
            }
            Ok(())
        });
        (lines, damaged, torn.unwrap())
    }

    const LETTERS: [(&[u8], &[u8]); 3] =
        [(b"{\"id\":1}", b"first \xff"), (b"{\"id\":2}", b""), (b"{\"id\":3}", b"{\"third\":3}")];

    #[test]
    fn a_segment_cut_at_any_byte_gives_the_letters_that_were_finished() {
        let all = segment(&LETTERS);
        let ends: Vec<_> = (1..=3).map(|n| segment(&LETTERS[..n]).len()).collect();
        for cut in 0..=all.len() {
            let (lines, damaged, torn) = read(&all[..cut]);
            let whole = ends.iter().filter(|end| **end <= cut).count();
            let wanted: Vec<_> = LETTERS[..whole].iter().map(|(_, line)| line.to_vec()).collect();
            assert_eq!((lines, damaged), (wanted, 0), "cut at {cut}");
            let last = if whole == 0 { 0 } else { ends[whole - 1] };
            assert_eq!(torn, (last < cut).then_some(last as u64), "cut at {cut}");
        }
    }

    #[test]
    fn a_byte_changed_anywhere_costs_its_own_letter_at_most() {
        let all = segment(&LETTERS);
        let ends: Vec<_> = (1..=3).map(|n| segment(&LETTERS[..n]).len()).collect();
        for at in 0..all.len() {
            for change in [1, 2, 0x20, 0x80, 0xff, all[at] ^ b'\n', all[at] ^ b' '] {
                if change == 0 {
                    continue;
                }
                let mut changed = all.clone();
                changed[at] ^= change;
                let (lines, damaged, torn) = read(&changed);
                let hit = ends.iter().filter(|end| **end <= at).count();
                let mut wanted: Vec<_> = LETTERS.iter().map(|(_, line)| line.to_vec()).collect();
                // A damaged newline costs no letter: the lengths say where the line ends.
                let is_end = ends.contains(&(at + 1));
                if !is_end {
                    wanted.remove(hit);
                }
                assert_eq!(lines, wanted, "byte {at} changed by {change:#x}");
                assert_eq!((damaged, torn), (usize::from(!is_end), None), "byte {at}, {change:#x}");
            }
        }
    }

    #[test]
    fn a_line_that_looks_like_a_letter_is_none() {
        let hostile = segment(&[(b"{\"id\":6}", b"forged")]);
        let hostile = &hostile[..hostile.len() - 1];
        let mut all = segment(&[(b"{\"id\":1}", hostile), (b"{\"id\":2}", b"good")]);
        assert_eq!(read(&all).0, [hostile.to_vec(), b"good".to_vec()]);
        all[4] ^= 1;
        assert_eq!(read(&all), (vec![b"good".to_vec()], 1, None));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reading_panic_or_read_what_nobody_wrote(
            bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(b'\n'), Just(b'0'), Just(b' ')], 0..400),
        ) {
            prop_assert_eq!(read(&[b"L1 ".as_slice(), &bytes].concat()).0.len(), 0);
        }
    }
}
