//! Stands for what is being written.
use super::edit::Edits;
use crate::config;
use crate::event::{Key, Record};
pub(crate) struct Redaction;
impl Redaction {
    pub(crate) fn new(_: &config::Redact, _: Option<Key>) -> anyhow::Result<Self> {
        Ok(Self)
    }
    pub(crate) fn edits(&self, _: &Record<'_>, _: &mut Edits) {}
    pub(crate) fn extract(&self, _: &Record<'_>, _: &mut Vec<u8>) {}
}
