//! Joins the parts of a line that a container runtime split because it was too long (16 KiB in containerd).

use std::ops::Range;

use crate::event::TextFrame;

/// The first parts of a split line, with lines of other streams between them.
#[derive(Debug)]
pub(crate) struct Parts {
    first: TextFrame,
    /// Bytes of these lines, newlines included.
    pub(crate) bytes: usize,
}

/// The relation of the next line to the parts before it.
pub(crate) enum NextPart {
    /// It is a part, and more parts follow.
    More,
    /// It is the last part.
    Last,
    /// It is another line: the split line was never finished.
    Foreign,
}

impl Parts {
    /// Starts with a line if it is the first part of a split line.
    pub(crate) fn begin(line: &[u8]) -> Option<Self> {
        let first = TextFrame::of(line).filter(|frame| frame.partial && !frame.is_quiet(line))?;
        Some(Self { first, bytes: line.len() + 1 })
    }

    /// Takes the next line.
    pub(crate) fn next(&mut self, line: &[u8]) -> NextPart {
        let next = match TextFrame::of(line) {
            Some(next) if self.first.is_continued_by(&next) => {
                if next.partial {
                    NextPart::More
                } else {
                    NextPart::Last
                }
            }
            Some(next) if next.is_quiet(line) => NextPart::More,
            _ => return NextPart::Foreign,
        };
        self.bytes += line.len() + 1;
        next
    }
}

/// Moves the text of the parts in `lines` together. Returns its range, and how many lines were not part of it.
pub(crate) fn join(lines: &mut [u8]) -> (Range<usize>, u32) {
    let (mut at, mut passed) = (0, 0);
    let mut joined: Option<(TextFrame, Range<usize>)> = None;
    while at < lines.len() {
        let end = memchr::memchr(b'\n', &lines[at..]).map_or(lines.len(), |newline| at + newline);
        let frame = TextFrame::of(&lines[at..end]);
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
