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
    /// Added to the class of a colon or comma if an opening quote follows it.
    pub(super) const PAIRED: u8 = 18;
}

/// The states between tokens, and what else a token may lead to.
pub(crate) mod state {
    /// Before the text.
    pub(crate) const START: u8 = 0;
    /// A value has to follow.
    pub(crate) const VALUE: u8 = 1;
    /// After `[`: a value, or the end.
    pub(crate) const ELEMENT_OR_END: u8 = 2;
    /// After `{`: a key, or the end.
    pub(crate) const KEY_OR_END: u8 = 3;
    /// After a comma in an object.
    pub(crate) const KEY: u8 = 4;
    /// After a key has begun: when its string is over, a colon has to follow.
    pub(crate) const COLON: u8 = 5;
    /// After a value, or after a string has begun.
    pub(crate) const AFTER: u8 = 6;
    /// After the text.
    pub(crate) const DONE: u8 = 7;
    /// In a number.
    pub(super) const MINUS: u8 = 8;
    pub(super) const ZERO: u8 = 9;
    pub(super) const INTEGER: u8 = 10;
    pub(super) const DOT: u8 = 11;
    pub(super) const FRACTION: u8 = 12;
    pub(super) const E: u8 = 13;
    pub(super) const SIGN: u8 = 14;
    pub(super) const EXPONENT: u8 = 15;
    /// In `true`, `false`, `null`: three, four and three states.
    pub(super) const TRUE: u8 = 16;
    pub(super) const FALSE: u8 = 19;
    pub(super) const NULL: u8 = 23;
    /// From here on, no states but steps that change the nesting.
    pub(crate) const STATES: u8 = 26;
    pub(crate) const OPEN_OBJECT: u8 = 26;
    pub(crate) const OPEN_ARRAY: u8 = 27;
    pub(crate) const CLOSE_OBJECT: u8 = 28;
    pub(crate) const CLOSE_ARRAY: u8 = 29;
    /// No token of this kind may follow.
    pub(crate) const BAD: u8 = 30;
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

/// Set in the row of a state whose innermost container is an object.
const IN_OBJECT: u8 = 32;
/// There are fewer rows and columns, but an index below a power of two needs no check.
const ROWS: usize = 64;
const COLUMNS: usize = 32;

type StateTable = [[u8; COLUMNS]; ROWS];

/// For each row and class, what comes next.
const TABLE: StateTable = {
    use state::{AFTER, COLON, FALSE, KEY, KEY_OR_END, NULL, START, TRUE, VALUE};
    let mut table = [[state::BAD; COLUMNS]; ROWS];
    let containers =
        [(class::OPEN_OBJECT, state::OPEN_OBJECT), (class::OPEN_ARRAY, state::OPEN_ARRAY)];
    set(&mut table, START, &containers);
    values(&mut table, VALUE);
    values(&mut table, state::ELEMENT_OR_END);
    both(&mut table, state::ELEMENT_OR_END, &[(class::CLOSE_ARRAY, state::CLOSE_ARRAY)]);
    both(
        &mut table,
        KEY_OR_END,
        &[(class::QUOTE, COLON), (class::CLOSE_OBJECT, state::CLOSE_OBJECT)],
    );
    both(&mut table, KEY, &[(class::QUOTE, COLON)]);
    both(&mut table, COLON, &[(class::COLON, VALUE), (class::COLON + class::PAIRED, AFTER)]);
    after(&mut table, AFTER);
    numbers(&mut table);
    word(&mut table, TRUE, b"rue");
    word(&mut table, FALSE, b"alse");
    word(&mut table, NULL, b"ull");
    table
};

/// Sets steps in an object and in an array.
const fn both(table: &mut StateTable, from: u8, steps: &[(u8, u8)]) {
    set(table, from, steps);
    set(table, from | IN_OBJECT, steps);
}

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
        (class::QUOTE, state::AFTER),
        (class::MINUS, state::MINUS),
        (class::ZERO, state::ZERO),
        (class::DIGIT, state::INTEGER),
        (CLASSES[b't' as usize], state::TRUE),
        (CLASSES[b'f' as usize], state::FALSE),
        (CLASSES[b'n' as usize], state::NULL),
    ];
    both(table, from, &steps);
}

/// A value is complete.
const fn after(table: &mut StateTable, from: u8) {
    both(table, from, &[(class::BLANK, state::AFTER)]);
    let comma = class::COMMA + class::PAIRED;
    let in_object = [
        (class::COMMA, state::KEY),
        (comma, state::COLON),
        (class::CLOSE_OBJECT, state::CLOSE_OBJECT),
    ];
    set(table, from | IN_OBJECT, &in_object);
    let in_array = [
        (class::COMMA, state::VALUE),
        (comma, state::AFTER),
        (class::CLOSE_ARRAY, state::CLOSE_ARRAY),
    ];
    set(table, from, &in_array);
}

const fn numbers(table: &mut StateTable) {
    use state::{DOT, E, EXPONENT, FRACTION, INTEGER, MINUS, SIGN, ZERO};
    let dot_or_e = [(class::DOT, DOT), (class::LOWER_E, E), (class::UPPER_E, E)];
    both(table, MINUS, &[(class::ZERO, ZERO), (class::DIGIT, INTEGER)]);
    both(table, ZERO, &dot_or_e);
    digits(table, INTEGER, INTEGER);
    both(table, INTEGER, &dot_or_e);
    digits(table, DOT, FRACTION);
    digits(table, FRACTION, FRACTION);
    both(table, FRACTION, &[(class::LOWER_E, E), (class::UPPER_E, E)]);
    both(table, E, &[(class::MINUS, SIGN), (class::PLUS, SIGN)]);
    digits(table, E, EXPONENT);
    digits(table, SIGN, EXPONENT);
    digits(table, EXPONENT, EXPONENT);
    after(table, ZERO);
    after(table, INTEGER);
    after(table, FRACTION);
    after(table, EXPONENT);
}

const fn digits(table: &mut StateTable, from: u8, to: u8) {
    both(table, from, &[(class::ZERO, to), (class::DIGIT, to)]);
}

/// The letters of `true`, `false` or `null` after the first one.
const fn word(table: &mut StateTable, first: u8, rest: &[u8]) {
    let (mut at, mut from) = (0, first);
    while at < rest.len() {
        let to = if at + 1 == rest.len() { state::AFTER } else { from + 1 };
        both(table, from, &[(CLASSES[rest[at] as usize], to)]);
        (at, from) = (at + 1, from + 1);
    }
}

/// Where a text stands in the grammar. The text is one object or array.
#[derive(Debug, Default)]
pub(crate) struct Grammar {
    /// The row of [`TABLE`]: the state, and whether the innermost container is an object.
    row: u8,
    /// How many objects and arrays are open.
    depth: usize,
    /// One bit for each of the innermost containers, as many as fill the last word: 1 for an object.
    innermost: u64,
    /// The containers around them, 64 a word.
    outer: Vec<u64>,
}

/// Why a token has no place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum GrammarFault {
    /// The text is no JSON.
    Syntax,
    /// It is neither an object nor an array.
    NoContainer,
    /// Something follows the object or array.
    AfterEnd,
    /// It has more levels than [`DEEPEST`].
    TooDeep,
}

/// What a row and a token lead to: a state, or a step of [`state`].
#[inline]
pub(crate) fn next(row: u8, byte: u8, paired: bool) -> u8 {
    let class = CLASSES[usize::from(byte)] + class::PAIRED * u8::from(paired);
    TABLE[usize::from(row) % ROWS][usize::from(class) % COLUMNS]
}

/// The state of a row.
#[inline]
pub(crate) fn state_of(row: u8) -> u8 {
    row & !IN_OBJECT
}

/// The row of a state within the same container.
#[inline]
pub(crate) fn same_container(row: u8, state: u8) -> u8 {
    row & IN_OBJECT | state
}

impl Grammar {
    /// Whether the text is complete.
    pub(crate) fn is_done(&self) -> bool {
        self.row == state::DONE
    }

    /// Where the text stands, for [`next`].
    #[inline]
    pub(crate) fn row(&self) -> u8 {
        self.row
    }

    /// The caller has followed the states to this row.
    #[inline]
    pub(crate) fn set_row(&mut self, row: u8) {
        self.row = row;
    }

    /// How many objects and arrays are open.
    #[inline]
    pub(crate) fn depth(&self) -> usize {
        self.depth
    }

    /// Why no token of this kind may follow.
    pub(crate) fn fault(&self, byte: u8) -> GrammarFault {
        let value = || next(state::VALUE, byte, false) != state::BAD;
        match self.row {
            state::START if value() => GrammarFault::NoContainer,
            state::DONE => GrammarFault::AfterEnd,
            _ => GrammarFault::Syntax,
        }
    }

    /// An object or array begins.
    #[inline]
    pub(crate) fn open(&mut self, object: bool) -> Result<(), GrammarFault> {
        if self.depth == DEEPEST {
            return Err(GrammarFault::TooDeep);
        }
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.outer.push(self.innermost);
        }
        self.innermost = self.innermost << 1 | u64::from(object);
        self.depth += 1;
        self.row = if object { IN_OBJECT | state::KEY_OR_END } else { state::ELEMENT_OR_END };
        Ok(())
    }

    /// The innermost object or array ends.
    #[inline]
    pub(crate) fn close(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        self.innermost >>= 1;
        if self.depth == 0 {
            self.row = state::DONE;
            return;
        }
        if self.depth.is_multiple_of(64) {
            self.innermost = self.outer.pop().unwrap_or_default();
        }
        self.row = if self.innermost & 1 == 1 { IN_OBJECT } else { 0 } | state::AFTER;
    }
}
