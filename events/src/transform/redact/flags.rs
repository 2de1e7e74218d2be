//! What a walk knows about a place from what is above it.

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
