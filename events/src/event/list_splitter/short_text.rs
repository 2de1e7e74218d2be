//! Keeps the text of a key or of a short value while it arrives in pieces.

/// Longest text that is kept, in bytes as written. The longest name that is asked for has ten letters, and sixty bytes
/// if each is an escape.
const LONGEST: usize = 64;

/// The inside of a string that may have begun in an earlier piece.
#[derive(Debug, Default)]
pub(super) struct ShortText {
    /// From earlier pieces; at most one byte more than [`LONGEST`].
    earlier: Vec<u8>,
    /// Where the rest begins in this piece, if a text is being kept.
    from: Option<usize>,
}

impl ShortText {
    /// Begins a text; its opening quote is at `quote`.
    pub(super) fn begin(&mut self, quote: usize) {
        self.earlier.clear();
        self.from = Some(quote + 1);
    }

    /// Drops the text.
    pub(super) fn abandon(&mut self) {
        self.from = None;
    }

    /// Takes the text over to the next piece.
    pub(super) fn pause(&mut self, bytes: &[u8]) {
        if let Some(from) = &mut self.from {
            let rest = bytes.get(*from..).unwrap_or_default();
            let room = (LONGEST + 1).saturating_sub(self.earlier.len());
            self.earlier.extend_from_slice(&rest[..rest.len().min(room)]);
            *from = 0;
        }
    }

    /// Ends the text before its closing quote; `None` if none was begun or it is too long.
    pub(super) fn end<'a>(&'a mut self, bytes: &'a [u8], quote: usize) -> Option<&'a [u8]> {
        let rest = bytes.get(self.from.take()?..quote)?;
        if self.earlier.is_empty() {
            return (rest.len() <= LONGEST).then_some(rest);
        }
        if self.earlier.len() + rest.len() > LONGEST {
            return None;
        }
        self.earlier.extend_from_slice(rest);
        Some(&self.earlier)
    }
}
