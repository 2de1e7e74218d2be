//! Keeps the text of a key or of a short value while it arrives in blocks and pieces.

/// Longest text that is kept, in bytes as written. The longest name that is asked for has ten letters, and sixty bytes
/// if each is an escape.
const LONGEST: usize = 64;

/// The inside of a string that has begun in an earlier block.
#[derive(Debug, Default)]
pub(super) struct ShortText {
    /// Whether it is a key.
    pub(super) key: bool,
    /// From earlier pieces; at most one byte more than [`LONGEST`].
    earlier: Vec<u8>,
    /// Where the rest begins in this piece, if a text is being kept.
    from: Option<usize>,
}

/// A text as written, unless it is longer than a name can be.
pub(super) fn short(text: &[u8]) -> Option<&[u8]> {
    (text.len() <= LONGEST).then_some(text)
}

impl ShortText {
    /// Begins a text behind the opening quote.
    pub(super) fn begin(&mut self, key: bool, quote: usize) {
        self.earlier.clear();
        (self.key, self.from) = (key, Some(quote + 1));
    }

    /// Drops the text.
    pub(super) fn abandon(&mut self) {
        self.from = None;
    }

    /// Whether a text is being kept.
    #[inline]
    pub(super) fn is_open(&self) -> bool {
        self.from.is_some()
    }

    /// Takes the text over to the next piece.
    pub(super) fn end_piece(&mut self, bytes: &[u8]) {
        if let Some(from) = &mut self.from {
            let rest = bytes.get(*from..).unwrap_or_default();
            let room = (LONGEST + 1).saturating_sub(self.earlier.len());
            self.earlier.extend_from_slice(&rest[..rest.len().min(room)]);
            *from = 0;
        }
    }

    /// Ends the text before its closing quote, and hands it out if it is short.
    pub(super) fn end<'a>(&'a mut self, bytes: &'a [u8], quote: usize) -> Option<&'a [u8]> {
        let rest = bytes.get(self.from.take()?..quote)?;
        if self.earlier.is_empty() {
            return short(rest);
        }
        if self.earlier.len() + rest.len() <= LONGEST {
            self.earlier.extend_from_slice(rest);
            return Some(&self.earlier);
        }
        None
    }
}
