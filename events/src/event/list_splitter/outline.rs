//! Knows where in the body the items are: which objects are lists, and which are events.
//!
//! An object of kind `EventList` is a list. So is an object that has a member `items`, an array or null, and no kind
//! before it. Every other object is an event, whatever its kind: it becomes a line, and nothing is lost. The body is an
//! object, or an array of objects; an item of a list is never a list itself. Of a list, only `items` and `apiVersion`
//! matter. If a list has `items` twice, the items of both are events, though the API server's decoder would keep the
//! second only.

use super::item::OpenItem;
use super::short_text::ShortText;
use super::{DECIDED_AFTER, SplitBody, UnreadableBody};
use crate::json::{GrammarStep, is_key, state};

/// A piece of the body, and where its lines go.
pub(super) struct Piece<'a> {
    pub(super) bytes: &'a [u8],
    /// Place of its first byte in the body.
    pub(super) start: u64,
    pub(super) lines: &'a mut Vec<u8>,
}

/// What encloses the next token, as far as it matters.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Place {
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

/// Where the walk through the body is.
#[derive(Debug, Default)]
pub(super) struct Outline {
    /// Tokens at this depth and above are of interest.
    pub(super) watched: usize,
    /// What was found.
    pub(super) split: SplitBody,
    place: Place,
    /// 1 if the body is an array.
    base: usize,
    /// Whether the item is one of a list.
    listed: bool,
    item: OpenItem,
    /// Whether the bytes of an item are being copied, and from where in this piece, unless blanks are skipped.
    copying: bool,
    run: Option<usize>,
    member: ListMember,
    text: ShortText,
    /// `apiVersion` of the list, as written.
    version: Vec<u8>,
}

impl Outline {
    /// Whether an item is open.
    pub(super) fn is_in_item(&self) -> bool {
        self.place == Place::Item
    }

    /// The piece ends.
    pub(super) fn pause(&mut self, piece: &mut Piece<'_>) {
        self.text.pause(piece.bytes);
        if self.run.is_some() {
            self.copy_until(piece.bytes.len(), piece);
            self.run = Some(0);
        }
    }

    /// Keeps the first fault.
    pub(super) fn note(&mut self, at: u64, why: &'static str) {
        self.split.unreadable.get_or_insert(UnreadableBody { at, why });
    }

    /// Looks at a token for the sake of copying: blanks are left out.
    #[inline]
    pub(super) fn copy(&mut self, byte: u8, at: usize, piece: &mut Piece<'_>) {
        if !self.copying {
            return;
        }
        if matches!(byte, b' ' | b'\n' | b'\t' | b'\r') {
            self.copy_until(at, piece);
            self.run = None;
        } else if self.run.is_none() {
            self.run = Some(at);
        }
    }

    /// Copies the bytes before `at`.
    #[inline]
    fn copy_until(&mut self, at: usize, piece: &mut Piece<'_>) {
        if let Some(run) = &mut self.run {
            self.item.put(piece.bytes.get(*run..at).unwrap_or_default(), piece.lines);
            *run = at;
        }
    }

    /// Decides about the item if it is long. `at` is a place in the piece.
    #[inline]
    pub(super) fn check_length(&mut self, at: usize, piece: &mut Piece<'_>) {
        if self.copying
            && !self.item.decided
            && piece.start + at as u64 - self.item.start > DECIDED_AFTER
        {
            self.decide(at, piece);
        }
    }

    fn decide(&mut self, at: usize, piece: &mut Piece<'_>) {
        self.copy_until(at, piece);
        self.item.maybe_list = false;
        self.item.decide(&self.version, piece.lines);
        self.watched = self.inside() - 1;
        self.text.abandon();
    }

    /// The depth inside of the item's braces.
    fn inside(&self) -> usize {
        self.base + if self.listed { 3 } else { 1 }
    }

    /// Takes a token that is not below [`Self::watched`].
    pub(super) fn step(
        &mut self,
        step: GrammarStep,
        byte: u8,
        at: usize,
        piece: &mut Piece<'_>,
    ) -> Result<(), &'static str> {
        if self.is_in_item() {
            self.check_length(at, piece);
        }
        match step.to {
            state::CLOSE_OBJECT | state::CLOSE_ARRAY => self.close(step.depth, at, piece),
            state::IN_KEY => self.text.begin(at),
            state::COLON if step.from == state::IN_KEY => self.key(at, piece),
            state::AFTER if step.from == state::IN_STRING => self.string(at, piece),
            _ if matches!(step.from, state::VALUE | state::ELEMENT_OR_END) => {
                if step.to != step.from {
                    return self.value(byte, at, piece);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// A value begins.
    fn value(&mut self, byte: u8, at: usize, piece: &mut Piece<'_>) -> Result<(), &'static str> {
        match self.place {
            Place::Body => match byte {
                b'{' => self.open(false, at, piece),
                b'[' => (self.place, self.base, self.watched) = (Place::Array, 1, 1),
                _ => return Err("neither an object nor an array"),
            },
            Place::Array | Place::Items if byte == b'{' => {
                self.open(self.place == Place::Items, at, piece);
            }
            Place::Array | Place::Items => {
                self.note(piece.start + at as u64, "an element is no object");
            }
            Place::List => match (self.member, byte) {
                (ListMember::Items, b'[') => self.enter_items(),
                (ListMember::Items, b'n') => {}
                (ListMember::Items, _) => {
                    self.note(piece.start + at as u64, "`items` is no array");
                }
                (ListMember::Version, b'"') => self.text.begin(at),
                _ => {}
            },
            Place::Item if self.item.maybe_list => match (self.member, byte) {
                (ListMember::Items, b'[') => {
                    self.become_list();
                    self.enter_items();
                }
                (ListMember::Items, b'n') => self.become_list(),
                (ListMember::Items, _) => {
                    self.item.maybe_list = false;
                    self.decide_if_known(at, piece);
                }
                (ListMember::Kind | ListMember::Version, b'"') => self.text.begin(at),
                _ => {}
            },
            Place::Item => {}
        }
        Ok(())
    }

    /// An object begins that is an event, or may be one.
    fn open(&mut self, listed: bool, at: usize, piece: &Piece<'_>) {
        if !listed {
            self.version.clear();
        }
        self.item.begin(piece.start + at as u64, !listed);
        (self.place, self.listed, self.copying, self.run) = (Place::Item, listed, true, Some(at));
        self.watched = self.inside();
    }

    fn become_list(&mut self) {
        (self.place, self.copying, self.run) = (Place::List, false, None);
    }

    fn enter_items(&mut self) {
        (self.place, self.watched) = (Place::Items, self.base + 2);
    }

    /// A key ends.
    fn key(&mut self, at: usize, piece: &mut Piece<'_>) {
        let text = self.text.end(piece.bytes, at);
        let is = |name| text.is_some_and(|text| is_key(text, name));
        self.member = if is("kind") {
            ListMember::Kind
        } else if is("apiVersion") {
            ListMember::Version
        } else if is("items") {
            ListMember::Items
        } else {
            ListMember::Other
        };
        if self.place == Place::Item {
            self.item.kind |= self.member == ListMember::Kind;
            self.item.version |= self.member == ListMember::Version;
            self.decide_if_known(at, piece);
        }
    }

    fn decide_if_known(&mut self, at: usize, piece: &mut Piece<'_>) {
        if !self.item.maybe_list && self.item.kind && self.item.version {
            self.decide(at, piece);
        }
    }

    /// A string ends that is a value.
    fn string(&mut self, at: usize, piece: &mut Piece<'_>) {
        let text = self.text.end(piece.bytes, at);
        match (self.place, self.member) {
            (Place::List | Place::Item, ListMember::Version) => {
                self.version.clear();
                self.version.extend_from_slice(text.unwrap_or_default());
            }
            (Place::Item, ListMember::Kind) if self.item.maybe_list => {
                let list = text.is_some_and(|text| is_key(text, "EventList"));
                let unnamed = text == Some(b"");
                if list {
                    self.become_list();
                } else if !unnamed {
                    self.item.maybe_list = false;
                    self.decide_if_known(at, piece);
                }
            }
            _ => {}
        }
    }

    /// A container ends; `depth` is that outside of it.
    fn close(&mut self, depth: usize, at: usize, piece: &mut Piece<'_>) {
        match self.place {
            Place::Item if depth + 1 == self.inside() => {
                self.decide(at + 1, piece);
                self.item.end(piece.lines);
                self.split.events += 1;
                (self.copying, self.run) = (false, None);
                if self.listed {
                    self.enter_items();
                } else {
                    self.leave();
                }
            }
            Place::Items if depth == self.base + 1 => {
                (self.place, self.watched) = (Place::List, self.base + 1);
            }
            Place::List if depth == self.base => self.leave(),
            _ => {}
        }
    }

    /// After an object that is an element of the array, or the body.
    fn leave(&mut self) {
        self.place = if self.base == 1 { Place::Array } else { Place::Body };
        self.watched = self.base;
    }

    /// The item that is open ends at a fault.
    pub(super) fn tear(&mut self, at: usize, piece: &mut Piece<'_>) {
        if self.is_in_item() {
            self.decide(at, piece);
            self.item.tear(piece.lines);
            self.copying = false;
        }
    }
}
