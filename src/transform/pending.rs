//! Stands for what is being written.
use super::edit::Edits;
use super::level::Level;
use crate::event::Record;
pub(crate) struct Policy;
pub(crate) struct Decision {
    pub(crate) level: Level,
    pub(crate) stage_omitted: bool,
    pub(crate) omit_managed_fields: bool,
}
impl Policy {
    pub(crate) fn decide(&self, _: &Record<'_>) -> Decision {
        Decision { level: Level::RequestResponse, stage_omitted: false, omit_managed_fields: false }
    }
}
pub(crate) struct Filter;
impl Filter {
    pub(crate) fn keeps(&self, _: &Record<'_>) -> Result<bool, String> {
        Ok(true)
    }
}
pub(crate) struct Redaction;
impl Redaction {
    pub(crate) fn edits(&self, _: &Record<'_>, _: &mut Edits) {}
    pub(crate) fn extract(&self, _: &Record<'_>, _: &mut Vec<u8>) {}
}
