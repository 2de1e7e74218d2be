//! Skips JSON 64 bytes at a time: one bit per byte says where the quotes and brackets are.
//!
//! Which of them are inside strings is computed from the quotes by arithmetic (`quoted.rs`), so the cost does not
//! depend on the content of a body.

use super::quoted::{QuoteWalk, Quoted};

/// Bytes of a block.
const SIZE: usize = 64;

/// The end and the depth of the object or array that begins at `from`; `None` if it does not end.
pub(super) fn container_end(line: &[u8], from: usize) -> Option<(usize, u32)> {
    let mut walk = BlockWalk::default();
    let end = find_end(line, from, |_, block| walk.step(block))?;
    Some((end, walk.deepest))
}

/// The end of the object or array that begins at `from`. If it does not end, `None`, and `open` gets the places of the
/// objects and arrays that are still open, from the outermost one on, as many as it has room for.
pub(crate) fn container_end_or_open(
    line: &[u8],
    from: usize,
    open: &mut Vec<usize>,
    room: usize,
) -> Option<usize> {
    let mut walk = BlockWalk::default();
    open.clear();
    find_end(line, from, |at, block| {
        let (opening, closing) = walk.brackets(block);
        walk.count(opening, closing, |depth, bit, opens| {
            if opens && depth < room {
                open.push(at + bit);
            } else if !opens {
                open.truncate(depth);
            }
        })
    })
}

/// Calls `step` with each block from `from` on, and its place, until it returns an index in the block. Returns the place
/// of that index. The last block is filled up with blanks.
#[inline]
fn find_end(
    line: &[u8],
    from: usize,
    mut step: impl FnMut(usize, &[u8; SIZE]) -> Option<usize>,
) -> Option<usize> {
    let (blocks, rest) = line.get(from..)?.as_chunks::<SIZE>();
    let mut at = from;
    for block in blocks {
        if let Some(end) = step(at, block) {
            return Some(at + end);
        }
        at += SIZE;
    }
    let mut last = [b' '; SIZE];
    last[..rest.len()].copy_from_slice(rest);
    step(at, &last).map(|end| at + end)
}

/// The state carried from one block to the next.
#[derive(Default)]
struct BlockWalk {
    depth: u32,
    deepest: u32,
    quoted: QuoteWalk,
}

impl BlockWalk {
    /// The index one past the bracket that closes the container, if it is in this block.
    #[inline]
    fn step(&mut self, block: &[u8; SIZE]) -> Option<usize> {
        let (open, close) = self.brackets(block);
        let opens = open.count_ones();
        if close.count_ones() < self.depth && self.depth + opens <= self.deepest {
            self.depth = self.depth + opens - close.count_ones();
            return None;
        }
        self.count(open, close, |_, _, _| {})
    }

    /// The brackets outside of strings, one bit per byte: those that open and those that close.
    #[inline]
    fn brackets(&mut self, block: &[u8; SIZE]) -> (u64, u64) {
        let Marks { quotes, backslashes, open, close } = marks(block);
        let Quoted { string, .. } = self.quoted.step(quotes, backslashes);
        (open & !string, close & !string)
    }

    /// Counts the brackets of a block; returns what [`BlockWalk::step`] does. Calls `each` for every bracket, with the
    /// depth outside of its container, its index, and whether it opens one.
    #[inline]
    fn count(
        &mut self,
        open: u64,
        close: u64,
        mut each: impl FnMut(usize, usize, bool),
    ) -> Option<usize> {
        let mut brackets = open | close;
        while brackets != 0 {
            let bit = brackets.trailing_zeros();
            let opens = open >> bit & 1 == 1;
            if opens {
                each(self.depth as usize, bit as usize, opens);
                self.depth += 1;
                self.deepest = self.deepest.max(self.depth);
            } else {
                self.depth = self.depth.saturating_sub(1);
                each(self.depth as usize, bit as usize, opens);
                if self.depth == 0 {
                    return Some(bit as usize + 1);
                }
            }
            brackets &= brackets - 1;
        }
        None
    }
}

/// One bit per byte of the block.
#[derive(Default)]
struct Marks {
    quotes: u64,
    backslashes: u64,
    open: u64,
    close: u64,
}

/// `{` and `[`, `}` and `]` differ in this bit only, and no other byte becomes one of them by it.
const BRACKET: u8 = 0x20;

#[inline]
fn marks(block: &[u8; SIZE]) -> Marks {
    Marks {
        quotes: bits(block, |byte| byte == b'"'),
        backslashes: bits(block, |byte| byte == b'\\'),
        open: bits(block, |byte| byte | BRACKET == b'{'),
        close: bits(block, |byte| byte | BRACKET == b'}'),
    }
}

/// A bit mask of the bytes that match. Written as a loop over the whole block, which compilers turn into vector
/// instructions.
#[inline]
fn bits(block: &[u8; SIZE], fits: impl Fn(u8) -> bool) -> u64 {
    let mut ones = [0; SIZE];
    for (one, byte) in ones.iter_mut().zip(block) {
        *one = u8::from(fits(*byte));
    }
    let (words, _) = ones.as_chunks::<8>();
    words.iter().rev().fold(0, |bits, word| {
        // One multiplication gathers the bits of eight bytes.
        bits << 8 | u64::from_le_bytes(*word).wrapping_mul(0x0102_0408_1020_4080) >> 56
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reference implementation, byte by byte.
    fn slowly(line: &[u8], from: usize) -> Option<(usize, u32)> {
        let (mut depth, mut deepest, mut string, mut escaped) = (0_u32, 0, false, false);
        for (at, byte) in line.iter().enumerate().skip(from) {
            let before = std::mem::take(&mut escaped);
            match byte {
                b'\\' => escaped = !before,
                b'"' if before => {}
                b'"' => string = !string,
                b'{' | b'[' if !string => {
                    depth += 1;
                    deepest = deepest.max(depth);
                }
                b'}' | b']' if !string => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        return Some((at + 1, deepest));
                    }
                }
                _ => {}
            }
        }
        None
    }

    /// Reference implementation: the brackets from which on the line does not end.
    fn opened(line: &[u8], from: usize, room: usize) -> Vec<usize> {
        let inside = |at: usize| {
            let (mut string, mut escaped) = (false, false);
            for byte in &line[from..at] {
                let before = std::mem::take(&mut escaped);
                match byte {
                    b'\\' => escaped = !before,
                    b'"' if !before => string = !string,
                    _ => {}
                }
            }
            string
        };
        let opens = |at: &usize| matches!(line[*at], b'{' | b'[') && !inside(*at);
        let starts = (from..line.len()).filter(opens);
        starts.filter(|at| slowly(line, *at).is_none()).take(room).collect()
    }

    proptest! {
        #[test]
        fn blocks_agree_with_single_bytes(
            text in prop::collection::vec(prop::sample::select(&br#"{}[]{}[]""\\\ax:,"#[..]), 0..400),
            from in 0..70_usize,
        ) {
            let line = [vec![b'"'; from], vec![b'{'], text].concat();
            prop_assert_eq!(container_end(&line, from), slowly(&line, from));
            for room in [2, 64] {
                let mut open = Vec::new();
                let end = container_end_or_open(&line, from, &mut open, room);
                prop_assert_eq!(end, slowly(&line, from).map(|(end, _)| end));
                if end.is_none() {
                    prop_assert_eq!(open, opened(&line, from, room));
                }
            }
        }
    }
}
