//! The state of a walk through a body: one frame for each open object or array.

use super::command_line::CommandLine;
use super::secret_names::Name;

/// Facts that hold for everything below a place.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Flags(u16);

impl Flags {
    pub(super) const NONE: Self = Self(0);
    /// In a Secret: `data` is redacted; in a member that is not known, everything.
    pub(super) const SECRET: Self = Self(1);
    /// A whole API object, or a list of objects: the body, its items and rows.
    pub(super) const ROOT: Self = Self(1 << 1);
    /// Below a suspicious name: strings are redacted.
    pub(super) const HOT: Self = Self(1 << 2);
    /// In a `ConfigMap` whose values are all redacted.
    pub(super) const DATA: Self = Self(1 << 3);
    /// In a `ConfigMap` that is kept as it is.
    pub(super) const OPEN: Self = Self(1 << 4);
    /// In an OAuth token object, whose name is itself a token.
    pub(super) const NAMED: Self = Self(1 << 5);
    /// `metadata` or `details` of an OAuth token object.
    pub(super) const NAME: Self = Self(1 << 6);
    /// In a schema: names in it name fields, not values.
    pub(super) const SCHEMA: Self = Self(1 << 7);
    /// In the event's annotations.
    pub(super) const AUDIT: Self = Self(1 << 8);
    /// In a user, or in an object that holds one.
    pub(super) const USER: Self = Self(1 << 9);
    /// In an error about something secret: the values that its messages quote are redacted.
    pub(super) const MESSAGE: Self = Self(1 << 10);
    /// The operator's rules apply to every string.
    pub(super) const EVERY: Self = Self(1 << 11);

    /// In the rows of a Table with secret columns.
    pub(super) const CELLS: Self = Self(1 << 12);
    /// In an array below a suspicious name: long numbers are redacted too.
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

    /// The flag if `wanted`, otherwise none.
    pub(super) fn when(self, wanted: bool) -> Self {
        if wanted { self } else { Self::NONE }
    }

    /// Whether every key has to be handled, even without hits.
    pub(super) fn each_key(self) -> bool {
        let always = Self(Self::HOT.0 | Self::DATA.0 | Self::NAMED.0 | Self::EVERY.0);
        self.has(always) || self.has(Self::SECRET) && self.has(Self::ROOT)
    }

    /// Whether everything below has to be walked, even without hits.
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

/// The meaning of the `path` of a JSON Patch for the `value` beside it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum PatchTarget {
    Plain,
    /// Its strings are secrets.
    Suspicious(Name),
    /// All of it is a secret; `data` says that it is base64.
    Secret {
        data: bool,
    },
}

/// An open object or array.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is an answer of its own")]
pub(super) struct Frame {
    pub(super) flags: Flags,
    pub(super) object: bool,
    /// A member or element was already read.
    pub(super) begun: bool,
    /// Its `kind` says that it is a Secret, or a list of Secrets.
    pub(super) secret: bool,
    /// The judgement on its `name` or `key`; if suspicious, its `value` is a secret.
    pub(super) named: Name,
    /// It has an `op`; with a `path` it is an operation of a JSON Patch.
    pub(super) op: bool,
    pub(super) target: Option<PatchTarget>,
    /// State of the command line in this array, such as a preceding flag that takes a secret.
    pub(super) command: CommandLine,
    /// The numbers of data, values and steps of paths when the frame was opened.
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

    /// Whether the `value` of this object is a secret, judged by the members read so far.
    pub(super) fn verdict(&self) -> PatchTarget {
        match self.target {
            Some(target) if self.op => target,
            _ if self.named.is_any() => PatchTarget::Suspicious(self.named),
            _ => PatchTarget::Plain,
        }
    }
}
