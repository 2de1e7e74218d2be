//! Knows where in the body the items are: which objects are lists, and which are events.
//!
//! An object of kind `EventList` is a list. So is an object that has a member `items`, an array or null, and no kind
//! before it. Every other object is an event, whatever its kind: it becomes a line, and nothing is lost. The body is an
//! object, or an array of objects; an item of a list is never a list itself. Of a list, only `items` and `apiVersion`
//! matter.
//!
//! The API server never repeats a member. If a sender does, the first `kind` decides, and the items of each `items` are
//! events. The API server's decoder would take the last `kind`, and write the second `items` over the first.

use super::item::OpenItem;
use super::piece::BodyPiece;
use super::short_text::{ShortText, short};
use super::split_body::{SplitBody, UnreadableBody};
use crate::json::{is_key, state};

/// The container around the next token, as far as it matters.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Enclosure {
    /// Nothing.
    #[default]
    Body,
    /// The array that the body is.
    Array,
    /// An object that is a list.
    List,
    /// The array `items` of a list.
    Items,
    /// An object that is an event, or may be one.
    Item,
}

/// The members that matter.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum ListMember {
    Kind,
    Version,
    Items,
    #[default]
    Other,
}

/// Which tokens the outline wants to see, besides brackets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Interest {
    Nothing,
    Keys,
    Everything,
}

impl Interest {
    /// Whether it wants to see the token that leads to this state.
    #[inline]
    pub(super) fn stops(self, to: u8) -> bool {
        match self {
            Self::Nothing => false,
            Self::Keys => to == state::COLON,
            Self::Everything => true,
        }
    }
}

/// Where the walk through the body is.
#[derive(Debug, Default)]
pub(super) struct Outline {
    /// The items and faults found so far.
    pub(super) split: SplitBody,
    /// Tokens within more containers than this are of no interest.
    watched: usize,
    place: Enclosure,
    /// 1 if the body is an array.
    base: usize,
    /// Whether the item is one of a list.
    listed: bool,
    item: OpenItem,
    /// The last key at a place that matters.
    member: ListMember,
    text: ShortText,
    /// `apiVersion` of the list, as written; empty if it has none, or one that is too long.
    version: Vec<u8>,
}

impl Outline {
    /// Whether an item is open.
    #[inline]
    pub(super) fn is_in_item(&self) -> bool {
        self.place == Enclosure::Item
    }

    /// Whether a bracket at this depth is of interest. A bracket is outside of what it encloses.
    #[inline]
    pub(super) fn watches(&self, depth: usize) -> bool {
        depth <= self.watched
    }

    /// Which tokens matter within this many containers.
    #[inline]
    pub(super) fn watch(&self, depth: usize) -> Interest {
        if depth > self.watched {
            Interest::Nothing
        } else if self.is_in_item() && !self.item.maybe_list {
            Interest::Keys
        } else {
            Interest::Everything
        }
    }

    /// Keeps the first fault.
    pub(super) fn note(&mut self, at: u64, why: &'static str) {
        self.split.unreadable.get_or_insert(UnreadableBody { at, why });
    }

    /// A block begins.
    #[inline]
    pub(super) fn begin_block(&mut self, piece: &mut BodyPiece<'_>) {
        if self.text.is_open() && piece.found.quotes != 0 {
            let quote = piece.block + piece.found.quotes.trailing_zeros() as usize;
            let mut text = std::mem::take(&mut self.text);
            let key = text.key;
            self.text_ends(key, text.end(piece.bytes, quote), quote, piece);
            self.text = text;
        }
    }

    /// The block ends.
    #[inline]
    pub(super) fn end_block(&mut self, length: usize, piece: &mut BodyPiece<'_>) {
        if self.is_in_item() {
            let end = piece.block + length;
            self.item.end_block(end, piece);
            self.check_length(end, piece);
        }
    }

    /// The piece ends.
    pub(super) fn end_piece(&mut self, piece: &mut BodyPiece<'_>) {
        self.text.end_piece(piece.bytes);
        if self.is_in_item() {
            self.item.end_piece(piece);
        }
    }

    /// Decides about the item if it is long.
    #[inline]
    fn check_length(&mut self, at: usize, piece: &mut BodyPiece<'_>) {
        if self.item.is_long(at, piece) {
            self.decide(at, piece);
        }
    }

    fn decide(&mut self, at: usize, piece: &mut BodyPiece<'_>) {
        self.item.decide(&self.version, at, piece);
        self.watched = self.inside() - 1;
        self.text.abandon();
    }

    fn decide_if_known(&mut self, at: usize, piece: &mut BodyPiece<'_>) {
        if !self.item.maybe_list && self.item.kind && self.item.version {
            self.decide(at, piece);
        }
    }

    /// How many containers are open within the item.
    fn inside(&self) -> usize {
        self.base + if self.listed { 3 } else { 1 }
    }

    /// Takes a token that is no bracket, where [`Self::watch`] wants it. `from` and `to` are the states around it, and
    /// `quote` is the place in the block of its quote if it has one.
    #[inline]
    pub(super) fn token(
        &mut self,
        [from, to]: [u8; 2],
        quote: Option<usize>,
        bit: usize,
        piece: &mut BodyPiece<'_>,
    ) {
        match quote {
            Some(quote) if to == state::COLON => self.text_begins(true, quote, piece),
            Some(quote) => self.value(b'"', quote, piece),
            None if matches!(from, state::VALUE | state::ELEMENT_OR_END) => {
                self.value(piece.bytes[piece.block + bit], bit, piece);
            }
            None => {}
        }
    }

    /// A key begins, or a value that matters.
    #[inline]
    fn text_begins(&mut self, key: bool, bit: usize, piece: &mut BodyPiece<'_>) {
        let from = piece.block + bit;
        let Some(quote) = piece.closing_quote(bit) else { return self.text.begin(key, from) };
        let text = piece.bytes.get(from + 1..quote).and_then(short);
        self.text_ends(key, text, quote, piece);
    }

    /// A key ends, or a value that matters; its closing quote is at `quote`. A text that is too long is `None`.
    #[inline]
    fn text_ends(
        &mut self,
        key: bool,
        text: Option<&[u8]>,
        quote: usize,
        piece: &mut BodyPiece<'_>,
    ) {
        if key {
            self.member = match text {
                Some(b"kind") => ListMember::Kind,
                Some(b"apiVersion") => ListMember::Version,
                Some(b"items") => ListMember::Items,
                Some(text) if text.contains(&b'\\') => ListMember::escaped(text),
                _ => ListMember::Other,
            };
            if self.member == ListMember::Other {
                return;
            }
        }
        if self.is_in_item() {
            self.check_length(quote, piece);
        }
        match (self.place, self.member) {
            (Enclosure::Item, ListMember::Kind) if key => self.item.kind = true,
            (Enclosure::Item, ListMember::Version) if key => self.item.version = true,
            (Enclosure::Item | Enclosure::List, ListMember::Version) if !key => {
                self.version.clear();
                self.version.extend_from_slice(text.unwrap_or_default());
            }
            (Enclosure::Item, ListMember::Kind) if self.item.maybe_list => match text {
                Some(b"") => {}
                Some(text) if is_key(text, "EventList") => return self.become_list(),
                _ => self.item.maybe_list = false,
            },
            _ => return,
        }
        self.decide_if_known(quote, piece);
    }

    /// A value begins.
    pub(super) fn value(&mut self, byte: u8, bit: usize, piece: &mut BodyPiece<'_>) {
        let at = piece.block + bit;
        match (self.place, byte) {
            (Enclosure::Body, b'[') => {
                (self.place, self.base, self.watched) = (Enclosure::Array, 1, 1);
            }
            (Enclosure::Body | Enclosure::Array | Enclosure::Items, b'{') => self.open(at, piece),
            (Enclosure::Body, _) => {}
            (Enclosure::Array | Enclosure::Items, _) => {
                self.note(piece.in_body(at), "an element is no object");
            }
            (Enclosure::List, _) => self.value_of_list(byte, bit, piece),
            (Enclosure::Item, _) if self.item.maybe_list => {
                self.check_length(at, piece);
                self.value_of_maybe_list(byte, bit, piece);
            }
            (Enclosure::Item, _) => {}
        }
    }

    fn value_of_list(&mut self, byte: u8, bit: usize, piece: &mut BodyPiece<'_>) {
        match (self.member, byte) {
            (ListMember::Items, b'[') => self.enter_items(),
            (ListMember::Items, b'n') => {}
            (ListMember::Items, _) => {
                self.note(piece.in_body(piece.block + bit), "`items` is no array");
            }
            (ListMember::Version, b'"') => self.text_begins(false, bit, piece),
            _ => {}
        }
    }

    fn value_of_maybe_list(&mut self, byte: u8, bit: usize, piece: &mut BodyPiece<'_>) {
        if !self.item.maybe_list {
            return;
        }
        match (self.member, byte) {
            (ListMember::Items, b'[') => {
                self.become_list();
                self.enter_items();
            }
            (ListMember::Items, b'n') => self.become_list(),
            (ListMember::Items, _) => {
                self.item.maybe_list = false;
                self.decide_if_known(piece.block + bit, piece);
            }
            (ListMember::Kind | ListMember::Version, b'"') => self.text_begins(false, bit, piece),
            _ => {}
        }
    }

    /// An object begins that is an event, or may be one.
    fn open(&mut self, at: usize, piece: &BodyPiece<'_>) {
        self.listed = self.place == Enclosure::Items;
        if !self.listed {
            self.version.clear();
        }
        self.item.begin(!self.listed, at, piece);
        self.place = Enclosure::Item;
        self.watched = self.inside();
    }

    fn become_list(&mut self) {
        self.place = Enclosure::List;
    }

    fn enter_items(&mut self) {
        (self.place, self.watched) = (Enclosure::Items, self.base + 2);
    }

    /// A container ends; `depth` is that outside of it.
    pub(super) fn close(&mut self, depth: usize, bit: usize, piece: &mut BodyPiece<'_>) {
        match self.place {
            Enclosure::Item if depth + 1 == self.inside() => {
                self.decide(piece.block + bit + 1, piece);
                piece.lines.push(b'\n');
                self.split.events += 1;
                if self.listed { self.enter_items() } else { self.leave() }
            }
            Enclosure::Items if depth == self.base + 1 => {
                (self.place, self.watched) = (Enclosure::List, depth);
            }
            Enclosure::List if depth == self.base => self.leave(),
            _ => {}
        }
    }

    /// After an object that is an element of the array, or the body.
    fn leave(&mut self) {
        self.place = if self.base == 1 { Enclosure::Array } else { Enclosure::Body };
        self.watched = self.base;
    }

    /// The item that is open ends at a fault.
    pub(super) fn tear(&mut self, at: usize, piece: &mut BodyPiece<'_>) {
        if self.is_in_item() {
            self.decide(at, piece);
            self.item.tear(piece.lines);
        }
    }
}

impl ListMember {
    /// The member whose key is written with escapes.
    fn escaped(key: &[u8]) -> Self {
        match crate::json::unescape(key).as_ref() {
            "kind" => Self::Kind,
            "apiVersion" => Self::Version,
            "items" => Self::Items,
            _ => Self::Other,
        }
    }
}
