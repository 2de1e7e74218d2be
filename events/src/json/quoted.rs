//! Which bytes of a block stand inside strings, computed from one bit a byte.
//!
//! The method is that of Langdale and Lemire, "Parsing Gigabytes of JSON per Second" (2019).

/// The state carried from one block of 64 bytes to the next.
#[derive(Debug, Default)]
pub(super) struct QuoteWalk {
    /// All ones inside a string.
    string: u64,
    /// 1 if the next byte is escaped.
    escaped: u64,
}

/// One bit for each byte of a block.
pub(super) struct Quoted {
    /// The quotes that begin or end a string.
    pub(super) quotes: u64,
    /// The bytes of strings, with the opening quote and without the closing one.
    pub(super) string: u64,
    /// The bytes that follow an unescaped backslash. If the last byte of a short block is such a backslash, the bit
    /// after the block is set.
    pub(super) escaped: u64,
}

impl QuoteWalk {
    /// Reads a block of 64 bytes.
    #[inline]
    pub(super) fn step(&mut self, quotes: u64, backslashes: u64) -> Quoted {
        let escaped = self.escaped(backslashes);
        let quotes = quotes & !escaped;
        let string = parity(quotes) ^ self.string;
        self.string = 0_u64.wrapping_sub(string >> 63);
        Quoted { quotes, string, escaped }
    }

    /// Reads a shorter block. The bits after its `length` bytes are zero.
    #[inline]
    pub(super) fn step_short(&mut self, quotes: u64, backslashes: u64, length: usize) -> Quoted {
        let found = self.step(quotes, backslashes);
        if length < 64 {
            self.escaped = found.escaped >> length & 1;
        }
        found
    }

    /// Whether the bytes so far end inside a string.
    pub(super) fn is_in_string(&self) -> bool {
        self.string != 0
    }

    #[inline]
    fn escaped(&mut self, backslashes: u64) -> u64 {
        const EVEN: u64 = 0x5555_5555_5555_5555;
        if backslashes == 0 {
            return std::mem::take(&mut self.escaped);
        }
        let backslashes = backslashes & !self.escaped;
        let follow = backslashes << 1 | self.escaped;
        let odd_starts = backslashes & !EVEN & !follow;
        let (even_runs, carry) = odd_starts.overflowing_add(backslashes);
        self.escaped = u64::from(carry);
        (EVEN ^ (even_runs << 1)) & follow
    }
}

/// Prefix parity: each bit becomes the parity of itself and those below it, so it is set from an opening quote up to
/// before the closing one.
#[inline]
fn parity(mut bits: u64) -> u64 {
    for shift in [1, 2, 4, 8, 16, 32] {
        bits ^= bits << shift;
    }
    bits
}
