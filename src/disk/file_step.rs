//! One step of the file system or the network. `steps.rs` runs it between two crash points, `faults.rs` makes it fail.

use std::path::Path;

/// One operation, with everything needed to repeat it elsewhere.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(not(debug_assertions), expect(dead_code, reason = "only a debug build looks at steps"))]
pub(crate) enum FileStep<'a> {
    /// Opens a file, and creates it if it is missing. `true`: the file is new and empty. The number identifies the file
    /// in [`FileStep::Write`], [`FileStep::Cut`] and [`FileStep::Sync`].
    Open(&'a Path, bool, u64),
    Write(u64, &'a [u8]),
    Cut(u64, u64),
    /// Fsync of a file: its content and length.
    Sync(u64),
    /// Fsync of a directory: the names in it.
    Names(&'a Path),
    Directory(&'a Path),
    /// Creates a listening socket.
    Socket(&'a Path),
    /// Sets permissions that exclude all but the owner.
    Private(&'a Path),
    Rename(&'a Path, &'a Path),
    Link(&'a Path, &'a Path),
    Unlink(&'a Path),
    /// A request is about to be sent. A crash from here on cannot take it back.
    Send,
    /// A response has arrived.
    Answer,
}
