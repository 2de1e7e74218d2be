//! The parts of an event that shrinking cuts, and their names in the annotation.

use std::fmt;

/// Annotation of an event that was shrunk; search for this name to find such events.
pub(super) const NOTE: &str = "auditrail.io/shrunk";

/// A part of an event that may be cut, in the order of cutting.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Cut {
    ManagedFields,
    LastApplied,
    ResponseObject,
    RequestObject,
    WebhookPatches,
    Annotations,
    Extra,
    Groups,
    /// The ends of long strings.
    Strings,
    /// Members that belong to no version of an event, or that matter least.
    Rest,
    /// The end of a line that is not JSON.
    Tail,
}

impl Cut {
    pub(super) const ALL: [Self; 11] = [
        Self::ManagedFields,
        Self::LastApplied,
        Self::ResponseObject,
        Self::RequestObject,
        Self::WebhookPatches,
        Self::Annotations,
        Self::Extra,
        Self::Groups,
        Self::Strings,
        Self::Rest,
        Self::Tail,
    ];

    /// The word for it in the annotation.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::ManagedFields => "managedFields",
            Self::LastApplied => "last-applied-configuration",
            Self::ResponseObject => "responseObject",
            Self::RequestObject => "requestObject",
            Self::WebhookPatches => "webhook-patches",
            Self::Annotations => "annotations",
            Self::Extra => "extra",
            Self::Groups => "groups",
            Self::Strings => "strings",
            Self::Rest => "rest",
            Self::Tail => "tail",
        }
    }
}

/// The parts that were cut.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Cuts(u16);

impl Cuts {
    pub(super) fn add(&mut self, cut: Cut) {
        self.0 |= 1 << cut as u16;
    }

    pub(super) fn has(self, cut: Cut) -> bool {
        self.0 >> cut as u16 & 1 == 1
    }

    pub(super) fn iter(self) -> impl Iterator<Item = Cut> {
        Cut::ALL.into_iter().filter(move |cut| self.has(*cut))
    }
}

impl fmt::Display for Cuts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, cut) in self.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            write!(f, "{comma}{}", cut.as_str())?;
        }
        Ok(())
    }
}
