//! Where a walk through a body stands: one frame for each object and array that is open.

use super::command_line::CommandLine;
use super::secret_names::Name;

/// What is known of all that is below some place.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Flags(u16);

impl Flags {
    pub(super) const NONE: Self = Self(0);
    /// Of a Secret: `data` is blanked, of an unknown member everything.
    pub(super) const SECRET: Self = Self(1);
    /// A whole object, or a list of such: the body, its items and rows.
    pub(super) const ROOT: Self = Self(1 << 1);
    /// Below a suspicious name: strings are blanked.
    pub(super) const HOT: Self = Self(1 << 2);
    /// Of a `ConfigMap`, and all its values are to go.
    pub(super) const DATA: Self = Self(1 << 3);
    /// Of a `ConfigMap` that is to stay as it is.
    pub(super) const OPEN: Self = Self(1 << 4);
    /// Of an OAuth token, whose very name is one.
    pub(super) const NAMED: Self = Self(1 << 5);
    /// `metadata` or `details` of one.
    pub(super) const NAME: Self = Self(1 << 6);
    /// A schema: names in it name fields, not values.
    pub(super) const SCHEMA: Self = Self(1 << 7);
    /// The event's annotations.
    pub(super) const AUDIT: Self = Self(1 << 8);
    /// A user, or what holds one.
    pub(super) const USER: Self = Self(1 << 9);
    /// An error about something secret: what its messages quote is blanked.
    pub(super) const MESSAGE: Self = Self(1 << 10);
    /// Rules of the operator look at each string.
    pub(super) const EVERY: Self = Self(1 << 11);

    /// Rows of a Table of which some columns are secret.
    pub(super) const CELLS: Self = Self(1 << 12);
    /// Of an array below a suspicious name: long numbers are blanked too.
    pub(super) const NUMBERS: Self = Self(1 << 13);

    pub(super) const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(super) const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The flag, if it is wanted.
    pub(super) fn when(self, wanted: bool) -> Self {
        if wanted { self } else { Self::NONE }
    }

    /// Whether each key means something, with hits or without.
    pub(super) fn each_key(self) -> bool {
        let always = Self(Self::HOT.0 | Self::DATA.0 | Self::NAMED.0 | Self::EVERY.0);
        self.has(always) || self.has(Self::SECRET) && self.has(Self::ROOT)
    }

    /// Whether all below must be seen, with hits or without.
    pub(super) fn everything(self) -> bool {
        self.has(Self(
            Self::SECRET.0
                | Self::HOT.0
                | Self::DATA.0
                | Self::NAMED.0
                | Self::MESSAGE.0
                | Self::CELLS.0
                | Self::EVERY.0,
        ))
    }
}

/// What the `path` of a JSON Patch says of the `value` beside it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Target {
    Plain,
    /// Its strings are secrets.
    Suspicious(Name),
    /// All of it is one; `data` says that it is base64.
    Secret {
        data: bool,
    },
}

/// An object or array that is open.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is an answer of its own")]
pub(super) struct Frame {
    pub(super) flags: Flags,
    pub(super) object: bool,
    /// A member or element was seen.
    pub(super) begun: bool,
    /// Its `kind` says that it is a Secret, or a list of them.
    pub(super) secret: bool,
    /// Its `name` or `key` is suspicious, so its `value` is a secret.
    pub(super) named: Name,
    /// It has an `op`: with a `path` it is an element of a JSON Patch.
    pub(super) op: bool,
    pub(super) target: Option<Target>,
    /// The element before is a flag that takes a secret.
    pub(super) command: CommandLine,
    /// How many data, values and steps of paths there were when it began.
    pub(super) data: usize,
    pub(super) values: usize,
    pub(super) steps: usize,
}

impl Frame {
    pub(super) fn new(object: bool, flags: Flags) -> Self {
        Self {
            flags,
            object,
            begun: false,
            secret: false,
            named: Name::Plain,
            op: false,
            target: None,

            command: CommandLine::default(),
            data: 0,
            values: 0,
            steps: 0,
        }
    }

    /// Whether the `value` of this object is a secret, as far as it was read.
    pub(super) fn verdict(&self) -> Target {
        match self.target {
            Some(target) if self.op => target,
            _ if self.named.is_any() => Target::Suspicious(self.named),
            _ => Target::Plain,
        }
    }
}
