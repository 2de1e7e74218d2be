//! Joins the parts in which a container runtime writes a line that is too long for it (16 KiB, in containerd).

use std::ops::Range;

use crate::event::Frame;

/// Whole lines that are the first parts of one, with what other streams wrote between them.
#[derive(Debug)]
pub(super) struct Parts {
    first: Frame,
    /// Bytes of them, newlines included.
    pub(super) bytes: usize,
}

/// What a line is to the parts before it.
pub(super) enum NextPart {
    /// More follows.
    OpenFile,
    /// The last one.
    Last,
    /// Something else: the line was never finished.
    Foreign,
}

impl Parts {
    /// Begins with a line if it is the first part of one.
    pub(super) fn begin(line: &[u8]) -> Option<Self> {
        let first = Frame::of(line).filter(|frame| frame.partial && !frame.is_quiet(line))?;
        Some(Self { first, bytes: line.len() + 1 })
    }

    /// Takes the next line.
    pub(super) fn next(&mut self, line: &[u8]) -> NextPart {
        let next = match Frame::of(line) {
            Some(next) if self.first.is_continued_by(&next) => {
                if next.partial {
                    NextPart::OpenFile
                } else {
                    NextPart::Last
                }
            }
            Some(next) if next.is_quiet(line) => NextPart::OpenFile,
            _ => return NextPart::Foreign,
        };
        self.bytes += line.len() + 1;
        next
    }
}

/// Moves the text of the parts in `lines` together. Answers where it stands, and how many lines were not part of it.
pub(super) fn join(lines: &mut [u8]) -> (Range<usize>, u32) {
    let (mut at, mut passed) = (0, 0);
    let mut joined: Option<(Frame, Range<usize>)> = None;
    while at < lines.len() {
        let end = memchr::memchr(b'\n', &lines[at..]).map_or(lines.len(), |newline| at + newline);
        let frame = Frame::of(&lines[at..end]);
        match (frame, &mut joined) {
            (Some(frame), None) => {
                let from = at + frame.content.start;
                joined = Some((frame.clone(), from..frame.unpack(lines, at, from)));
            }
            (Some(frame), Some((first, text))) if first.is_continued_by(&frame) => {
                text.end = frame.unpack(lines, at, text.end);
            }
            _ => passed += 1,
        }
        at = end + 1;
    }
    (joined.map(|(_, text)| text).unwrap_or_default(), passed)
}
