//! How far the confinement holds: kernels differ, and a service manager may have confined the process already.

use std::fmt;

/// How far a kind of confinement holds.
#[derive(Debug, PartialEq)]
pub(crate) enum Strength {
    /// It holds.
    Whole,
    /// Whoever started the process has set a filter already.
    Given,
    /// It does not hold; the reason is an end of the sentence "the agent is not confined".
    None(String),
}

impl fmt::Display for Strength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => f.write_str("confined"),
            Self::Given => f.write_str("confined by the service manager"),
            Self::None(why) => write!(f, "not confined: {why}"),
        }
    }
}
