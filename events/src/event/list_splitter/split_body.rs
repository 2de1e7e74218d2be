//! What a body held, and its first fault.

/// What a body held.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct SplitBody {
    /// The number of whole events. Each is a line. If the body is unreadable, one torn line may follow them.
    pub events: u64,
    /// The first fault of the body, if it has any.
    pub unreadable: Option<UnreadableBody>,
}

/// A fault in a body.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UnreadableBody {
    /// The place of the fault, in bytes from the beginning of the body.
    pub at: u64,
    /// What is wrong there, such as "no JSON".
    pub why: &'static str,
}
