//! The grammar of JSON (RFC 8259) as a table: each token leads from one state to the next. It needs one bit for each
//! level of nesting.

/// Most levels of objects and arrays.
pub(crate) const DEEPEST: usize = 100_000;

/// The kinds of bytes that the grammar tells apart.
mod class {
    pub(super) const OTHER: u8 = 0;
    pub(super) const BLANK: u8 = 1;
    pub(super) const OPEN_OBJECT: u8 = 2;
    pub(super) const CLOSE_OBJECT: u8 = 3;
    pub(super) const OPEN_ARRAY: u8 = 4;
    pub(super) const CLOSE_ARRAY: u8 = 5;
    pub(super) const COLON: u8 = 6;
    pub(super) const COMMA: u8 = 7;
    pub(super) const QUOTE: u8 = 8;
    pub(super) const MINUS: u8 = 9;
    pub(super) const PLUS: u8 = 10;
    pub(super) const ZERO: u8 = 11;
    pub(super) const DIGIT: u8 = 12;
    pub(super) const DOT: u8 = 13;
    pub(super) const UPPER_E: u8 = 14;
    /// The letters of `false`, `null` and `true`, from here on.
    pub(super) const LETTERS: u8 = 15;
    pub(super) const ALL_LETTERS: &[u8; 9] = b"aeflnrstu";
    pub(super) const LOWER_E: u8 = LETTERS + 1;
}

/// The states between tokens, and what else a token may lead to.
pub(crate) mod state {
    /// A value has to follow.
    pub(crate) const VALUE: u8 = 0;
    /// After `[`: a value, or the end.
    pub(crate) const ELEMENT_OR_END: u8 = 1;
    /// After `{`: a key, or the end.
    pub(crate) const KEY_OR_END: u8 = 2;
    /// After a comma in an object.
    pub(crate) const KEY: u8 = 3;
    /// In a key.
    pub(crate) const IN_KEY: u8 = 4;
    /// After a key.
    pub(crate) const COLON: u8 = 5;
    /// In a string.
    pub(crate) const IN_STRING: u8 = 6;
    /// After a value.
    pub(crate) const AFTER: u8 = 7;
    /// After the whole text.
    pub(crate) const DONE: u8 = 8;
    /// In a number.
    pub(super) const MINUS: u8 = 9;
    pub(super) const ZERO: u8 = 10;
    pub(super) const INTEGER: u8 = 11;
    pub(super) const DOT: u8 = 12;
    pub(super) const FRACTION: u8 = 13;
    pub(super) const E: u8 = 14;
    pub(super) const SIGN: u8 = 15;
    pub(super) const EXPONENT: u8 = 16;
    /// In `true`, `false`, `null`: three, four and three states.
    pub(super) const TRUE: u8 = 17;
    pub(super) const FALSE: u8 = 20;
    pub(super) const NULL: u8 = 24;
    /// The number of states. What follows are no states, but steps that change the nesting or depend on it.
    pub(super) const STATES: u8 = 27;
    pub(crate) const OPEN_OBJECT: u8 = 27;
    pub(crate) const OPEN_ARRAY: u8 = 28;
    pub(crate) const CLOSE_OBJECT: u8 = 29;
    pub(crate) const CLOSE_ARRAY: u8 = 30;
    pub(super) const COMMA: u8 = 31;
    pub(super) const BAD: u8 = 32;
}

/// The class of each byte.
const CLASSES: [u8; 256] = {
    let mut classes = [class::OTHER; 256];
    let mut digit = b'1';
    while digit <= b'9' {
        classes[digit as usize] = class::DIGIT;
        digit += 1;
    }
    let pairs = [
        (b' ', class::BLANK),
        (b'\t', class::BLANK),
        (b'\n', class::BLANK),
        (b'\r', class::BLANK),
        (b'{', class::OPEN_OBJECT),
        (b'}', class::CLOSE_OBJECT),
        (b'[', class::OPEN_ARRAY),
        (b']', class::CLOSE_ARRAY),
        (b':', class::COLON),
        (b',', class::COMMA),
        (b'"', class::QUOTE),
        (b'-', class::MINUS),
        (b'+', class::PLUS),
        (b'0', class::ZERO),
        (b'.', class::DOT),
        (b'E', class::UPPER_E),
    ];
    let mut at = 0;
    while at < pairs.len() {
        classes[pairs[at].0 as usize] = pairs[at].1;
        at += 1;
    }
    at = 0;
    let mut letter = class::LETTERS;
    while at < class::ALL_LETTERS.len() {
        classes[class::ALL_LETTERS[at] as usize] = letter;
        (at, letter) = (at + 1, letter + 1);
    }
    classes
};

/// Classes are fewer, but an index below a power of two needs no check.
const ROW: usize = 32;

type StateTable = [[u8; ROW]; ROW];

/// For each state and class, what comes next.
const TABLE: StateTable = {
    use state::*;
    let mut table = [[BAD; ROW]; ROW];
    let mut at = 0;
    while at <= DONE {
        if at != IN_KEY && at != IN_STRING {
            table[at as usize][class::BLANK as usize] = at;
        }
        at += 1;
    }
    values(&mut table, VALUE);
    values(&mut table, ELEMENT_OR_END);
    set(&mut table, ELEMENT_OR_END, &[(class::CLOSE_ARRAY, CLOSE_ARRAY)]);
    set(&mut table, KEY_OR_END, &[(class::QUOTE, IN_KEY), (class::CLOSE_OBJECT, CLOSE_OBJECT)]);
    set(&mut table, KEY, &[(class::QUOTE, IN_KEY)]);
    set(&mut table, IN_KEY, &[(class::QUOTE, COLON)]);
    set(&mut table, COLON, &[(class::COLON, VALUE)]);
    set(&mut table, IN_STRING, &[(class::QUOTE, AFTER)]);
    after(&mut table, AFTER);
    numbers(&mut table);
    word(&mut table, TRUE, b"rue");
    word(&mut table, FALSE, b"alse");
    word(&mut table, NULL, b"ull");
    table
};

const fn set(table: &mut StateTable, from: u8, steps: &[(u8, u8)]) {
    let mut at = 0;
    while at < steps.len() {
        table[from as usize][steps[at].0 as usize] = steps[at].1;
        at += 1;
    }
}

/// A value may begin.
const fn values(table: &mut StateTable, from: u8) {
    let steps = [
        (class::OPEN_OBJECT, state::OPEN_OBJECT),
        (class::OPEN_ARRAY, state::OPEN_ARRAY),
        (class::QUOTE, state::IN_STRING),
        (class::MINUS, state::MINUS),
        (class::ZERO, state::ZERO),
        (class::DIGIT, state::INTEGER),
        (CLASSES[b't' as usize], state::TRUE),
        (CLASSES[b'f' as usize], state::FALSE),
        (CLASSES[b'n' as usize], state::NULL),
    ];
    set(table, from, &steps);
}

/// A value is complete.
const fn after(table: &mut StateTable, from: u8) {
    let steps = [
        (class::BLANK, state::AFTER),
        (class::COMMA, state::COMMA),
        (class::CLOSE_OBJECT, state::CLOSE_OBJECT),
        (class::CLOSE_ARRAY, state::CLOSE_ARRAY),
    ];
    set(table, from, &steps);
}

const fn numbers(table: &mut StateTable) {
    use state::{DOT, E, EXPONENT, FRACTION, INTEGER, MINUS, SIGN, ZERO};
    let dot_or_e = [(class::DOT, DOT), (class::LOWER_E, E), (class::UPPER_E, E)];
    set(table, MINUS, &[(class::ZERO, ZERO), (class::DIGIT, INTEGER)]);
    set(table, ZERO, &dot_or_e);
    digits(table, INTEGER, INTEGER);
    set(table, INTEGER, &dot_or_e);
    digits(table, DOT, FRACTION);
    digits(table, FRACTION, FRACTION);
    set(table, FRACTION, &[(class::LOWER_E, E), (class::UPPER_E, E)]);
    set(table, E, &[(class::MINUS, SIGN), (class::PLUS, SIGN)]);
    digits(table, E, EXPONENT);
    digits(table, SIGN, EXPONENT);
    digits(table, EXPONENT, EXPONENT);
    after(table, ZERO);
    after(table, INTEGER);
    after(table, FRACTION);
    after(table, EXPONENT);
}

const fn digits(table: &mut StateTable, from: u8, to: u8) {
    set(table, from, &[(class::ZERO, to), (class::DIGIT, to)]);
}

/// The letters of `true`, `false` or `null` after the first one.
const fn word(table: &mut StateTable, first: u8, rest: &[u8]) {
    let (mut at, mut from) = (0, first);
    while at < rest.len() {
        let to = if at + 1 == rest.len() { state::AFTER } else { from + 1 };
        set(table, from, &[(CLASSES[rest[at] as usize], to)]);
        (at, from) = (at + 1, from + 1);
    }
}

/// Where a text stands in the grammar.
#[derive(Debug, Default)]
pub(crate) struct Grammar {
    /// Of [`state`].
    state: u8,
    /// How many objects and arrays are open.
    depth: usize,
    /// One bit for each open object or array: 1 for an object. Bits from `depth` on have no meaning.
    objects: Vec<u64>,
}

/// What a token did.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GrammarStep {
    /// The state before, of [`state`].
    pub(crate) from: u8,
    /// The state after it, or one of the steps of [`state`] that open or close.
    pub(crate) to: u8,
    /// How many objects and arrays are open around the token. A bracket counts as outside of what it encloses.
    pub(crate) depth: usize,
}

/// Why a token has no place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum GrammarFault {
    /// The text is no JSON.
    Syntax,
    /// More levels than [`DEEPEST`].
    TooDeep,
}

impl Grammar {
    /// Whether the text is complete.
    pub(crate) fn is_done(&self) -> bool {
        self.state == state::DONE
    }

    /// Takes the next token.
    #[inline]
    pub(crate) fn step(&mut self, byte: u8) -> Result<GrammarStep, GrammarFault> {
        let from = self.state;
        let to = TABLE[usize::from(from) % ROW][usize::from(CLASSES[usize::from(byte)]) % ROW];
        if to < state::STATES {
            self.state = to;
            return Ok(GrammarStep { from, to, depth: self.depth });
        }
        match to {
            state::COMMA => {
                self.state = if self.in_object() { state::KEY } else { state::VALUE };
                return Ok(GrammarStep { from, to: self.state, depth: self.depth });
            }
            state::OPEN_OBJECT => self.open(true)?,
            state::OPEN_ARRAY => self.open(false)?,
            state::CLOSE_OBJECT if self.in_object() => self.close(),
            state::CLOSE_ARRAY if !self.in_object() => self.close(),
            _ => return Err(GrammarFault::Syntax),
        }
        let depth = if to <= state::OPEN_ARRAY { self.depth - 1 } else { self.depth };
        Ok(GrammarStep { from, to, depth })
    }

    /// Whether the innermost open container is an object.
    #[inline]
    fn in_object(&self) -> bool {
        let Some(bit) = self.depth.checked_sub(1) else { return false };
        self.objects.get(bit / 64).is_some_and(|word| word >> (bit % 64) & 1 == 1)
    }

    #[inline]
    fn open(&mut self, object: bool) -> Result<(), GrammarFault> {
        if self.depth == DEEPEST {
            return Err(GrammarFault::TooDeep);
        }
        let (word, bit) = (self.depth / 64, self.depth % 64);
        if word == self.objects.len() {
            self.objects.push(0);
        }
        if let Some(word) = self.objects.get_mut(word) {
            *word = *word & !(1 << bit) | u64::from(object) << bit;
        }
        self.depth += 1;
        self.state = if object { state::KEY_OR_END } else { state::ELEMENT_OR_END };
        Ok(())
    }

    #[inline]
    fn close(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        self.state = if self.depth == 0 { state::DONE } else { state::AFTER };
    }
}
