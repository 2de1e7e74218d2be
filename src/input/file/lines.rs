//! Splits a buffer into lines, and finds holes of NUL bytes. Pure.
//!
//! If somebody else truncates the log, the server keeps writing at its old offset, so the file then begins with NUL
//! bytes. A power cut can leave NUL bytes too. JSON and the legacy format never contain a raw NUL.

/// The kind of bytes at the beginning of a buffer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Cut {
    /// A line of this many bytes, without the newline that follows it.
    Line(usize),
    /// This many bytes of a torn line that ends in a hole.
    Broken(usize),
    /// This many NUL bytes. More may follow.
    Hole(usize),
}

/// Finds the end of the first line in `buffer`, given that its first `seen` bytes contain none. `None`: the end is
/// not in the buffer.
pub(crate) fn cut(buffer: &[u8], seen: usize) -> Option<Cut> {
    if buffer.first() == Some(&0) {
        return Some(Cut::Hole(buffer.iter().position(|byte| *byte != 0).unwrap_or(buffer.len())));
    }
    let at = seen + memchr::memchr2(b'\n', 0, buffer.get(seen..)?)?;
    Some(if buffer[at] == 0 { Cut::Broken(at) } else { Cut::Line(at) })
}

/// The number of newlines at the beginning of a buffer, which are empty lines.
pub(crate) fn blank(buffer: &[u8]) -> usize {
    buffer.iter().position(|byte| *byte != b'\n').unwrap_or(buffer.len())
}

/// NUL bytes that cost as much work as one byte of text.
const HOLE: u64 = 256;

/// The work of processing `bytes` bytes in bytes of text, if `holes` of them are NUL.
pub(crate) fn work(bytes: u64, holes: u64) -> u64 {
    bytes.saturating_sub(holes) + holes / HOLE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_holes_are_told_apart() {
        assert_eq!(cut(b"ab\ncd", 0), Some(Cut::Line(2)));
        assert_eq!(cut(b"ab\ncd", 2), Some(Cut::Line(2)));
        assert_eq!(cut(b"\n", 0), Some(Cut::Line(0)));
        assert_eq!(cut(b"ab", 0), None);
        assert_eq!(cut(b"", 0), None);
        assert_eq!(cut(b"ab\0\0c\n", 0), Some(Cut::Broken(2)));
        assert_eq!(cut(b"\0\0c\n", 0), Some(Cut::Hole(2)));
        assert_eq!(cut(b"\0", 0), Some(Cut::Hole(1)));
    }
}
