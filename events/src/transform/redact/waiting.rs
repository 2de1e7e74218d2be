//! What a walk can judge only when the object around it ends.

use super::flags::Flags;

/// A member that can be judged only when its object ends: the places of its key and of its value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member {
    pub(super) key: usize,
    pub(super) value: usize,
}

/// A value that was skipped, because it has no hits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Skipped {
    pub(super) at: usize,
    pub(super) flags: Flags,
}

/// What can be judged only when its object ends.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// Members such as `data` of an object that may turn out to be a Secret.
    pub(super) data: Vec<Member>,
    /// Members `value` of an object that may turn out to be suspicious.
    pub(super) values: Vec<Member>,
    /// Values of an object that may turn out to be a Secret.
    pub(super) skipped: Vec<Skipped>,
}

/// How much waited when an object was opened.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct WaitingMark {
    pub(super) data: usize,
    pub(super) values: usize,
    pub(super) skipped: usize,
}
