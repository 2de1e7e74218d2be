//! One file of the log: its name and place, its format, its lines, and the generation that it holds. This module
//! lists no directory and does not know the readers.

pub(super) mod decoder;
pub(super) mod generation;
pub(super) mod head;
pub(super) mod lines;
pub(super) mod names;
pub(super) mod packing;
pub(super) mod parts;
pub(super) mod place;
pub(super) mod skim;
pub(super) mod source;
