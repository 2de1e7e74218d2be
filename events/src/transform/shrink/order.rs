//! The order in which the parts of an event are cut.

use crate::transform::cuts::Cut;

/// What is cut first.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ShrinkOrder {
    /// What says least.
    #[default]
    Usual,
    /// `responseObject` apart from its `metadata.name`, which rules of Falco read. They read nothing else of it, but
    /// most of `requestObject`.
    ResponseFirst,
}

impl ShrinkOrder {
    pub(super) fn cuts(self) -> [Cut; 11] {
        let mut cuts = Cut::ALL;
        if self == Self::ResponseFirst {
            // managedFields, last-applied-configuration, responseObject become responseObject and the other two.
            cuts[..3].rotate_right(1);
        }
        cuts
    }
}
