//! The table of transform steps. To add a transform step, add one row here and one file that implements
//! [`TransformStep`]. Metrics, the preview and the chain follow from both.

use std::sync::Arc;

use super::complete::Completing;
use super::filter::Filters;
use super::managed_fields::ManagedFields;
use super::policy::Policy;
use super::redact::Redaction;
use super::shrink::Shrinking;
use super::stages::OmitStages;
use super::step::{EventWork, TransformAction, TransformStep};
use crate::event::TRANSFORM_ACTIONS;

/// Each row: the step's field in [`Chain`], and its type.
macro_rules! steps {
    ($($(#[$doc:meta])* $field:ident: $step:ty,)*) => {
        /// The steps of one output, in their order. A step that is `None` is off.
        #[derive(Default)]
        pub struct Chain { $($(#[$doc])* pub $field: Option<$step>,)* }

        /// The actions of all steps, in the order of their counts.
        const ACTIONS: &[&[TransformAction]] = &[$(<$step>::ACTIONS,)*];

        impl Chain {
            /// Whether all steps are off, so that every event passes unchanged.
            pub fn is_idle(&self) -> bool {
                true $(&& self.$field.is_none())*
            }

            pub(super) fn keeps(&self, work: &mut EventWork<'_>) -> bool {
                work.first_action = 0;
                $(
                    if self.$field.as_ref().is_some_and(|step| !step.keeps(work)) {
                        return false;
                    }
                    work.first_action += <$step>::ACTIONS.len();
                )*
                true
            }

            pub(super) fn edit(&self, work: &mut EventWork<'_>) {
                work.first_action = 0;
                $(
                    if let Some(step) = &self.$field {
                        step.edit(work);
                    }
                    work.first_action += <$step>::ACTIONS.len();
                )*
            }

            pub(super) fn finish(&self, work: &mut EventWork<'_>) {
                work.first_action = 0;
                $(
                    if let Some(step) = &self.$field {
                        step.finish(work);
                    }
                    work.first_action += <$step>::ACTIONS.len();
                )*
            }
        }

        const _: () = assert!(0 $(+ <$step>::ACTIONS.len())* <= TRANSFORM_ACTIONS);
    };
}

steps! {
    /// Drops events and lowers levels as the API server would under this policy.
    policy: Arc<Policy>,
    /// Drops events of some stages.
    stages: OmitStages,
    /// Drops events for which an expression is false.
    filters: Filters,
    /// Removes `metadata.managedFields`.
    managed_fields: ManagedFields,
    /// Replaces secrets.
    redaction: Redaction,
    /// Cuts events that are too large for the output.
    shrinking: Shrinking,
    /// Adds what an output of whole events needs, and drops what is no event.
    completing: Completing,
}

/// The actions of all steps, in the order of their counts.
pub fn actions() -> impl Iterator<Item = &'static TransformAction> {
    ACTIONS.iter().copied().flatten()
}
