//! Cuts a buffer into lines, and tells holes of NUL bytes from text. Pure.
//!
//! A server whose file was truncated by somebody else goes on at its old place, so the file begins with NULs; power
//! loss leaves them too. JSON and the legacy format never hold a raw NUL.

/// What stands at the beginning of a buffer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Cut {
    /// A line of this many bytes, its newline not counted but to be stepped over.
    Line(usize),
    /// So many bytes of a line that a hole ended.
    Broken(usize),
    /// So many NULs. More may follow.
    Hole(usize),
}

/// Looks for the end of the line that `buffer` begins with, knowing that there is none in its first `seen` bytes.
/// `None`: it is not in the buffer.
pub(super) fn cut(buffer: &[u8], seen: usize) -> Option<Cut> {
    if buffer.first() == Some(&0) {
        return Some(Cut::Hole(buffer.iter().position(|byte| *byte != 0).unwrap_or(buffer.len())));
    }
    let at = seen + memchr::memchr2(b'\n', 0, buffer.get(seen..)?)?;
    Some(if buffer[at] == 0 { Cut::Broken(at) } else { Cut::Line(at) })
}

/// Newlines that a buffer begins with: as many empty lines.
pub(super) fn blank(buffer: &[u8]) -> usize {
    buffer.iter().position(|byte| *byte != b'\n').unwrap_or(buffer.len())
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
