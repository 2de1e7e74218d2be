//! The stages of a request at which the API server writes an event.

/// A set of stages.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Stages(u8);

impl Stages {
    pub(super) const NAMES: [&str; 4] =
        ["RequestReceived", "ResponseStarted", "ResponseComplete", "Panic"];
    pub(super) const ALL: Self = Self(0b1111);

    /// The stage of this name; the empty set for a name that is no stage.
    pub(super) fn of(name: &str) -> Self {
        Self(Self::NAMES.iter().position(|known| *known == name).map_or(0, |bit| 1 << bit))
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}
