//! Keeps the files that a reader still needs, whatever the server deletes or compresses: open, and by hard links.

pub(super) mod open_files;
pub(super) mod pins;
