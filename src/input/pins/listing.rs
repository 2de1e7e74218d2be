//! What stands in a hold directory, for people.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::super::generation::file_id;
use super::name::{LinkName, agent_of};
use crate::disk;
use crate::event::Key;

/// A link in a hold directory, of whichever agent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct HeldLink {
    pub(crate) path: PathBuf,
    /// The agent that made it, as its name says.
    pub(crate) agent: String,
    pub(crate) input: String,
    /// Device and inode of the file.
    pub(crate) id: (u64, u64),
    /// Bytes on disk.
    pub(crate) bytes: u64,
    /// Nothing else keeps the file.
    pub(crate) alone: bool,
}

/// The agent with this key, as it is named in its links.
pub(crate) fn agent_name(key: &Key) -> String {
    agent_of(key)
}

/// The links in a hold directory in the order of their names. Files of others are left out.
///
/// # Errors
/// If the directory cannot be read; one that is not there has no links.
pub(crate) fn held_links(directory: &Path) -> io::Result<Vec<HeldLink>> {
    let listing = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        listing => listing?,
    };
    let mut links = Vec::new();
    for entry in listing {
        let entry = entry?;
        let name = entry.file_name();
        let Some(LinkName { agent, input, .. }) = LinkName::parse(&name.to_string_lossy()) else {
            continue;
        };
        let meta = match entry.metadata() {
            // Removed meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            meta => meta?,
        };
        if meta.is_file() {
            let (id, bytes, alone) = (file_id(&meta), meta.blocks() * 512, meta.nlink() == 1);
            links.push(HeldLink { path: entry.path(), agent, input, id, bytes, alone });
        }
    }
    links.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(links)
}

/// Removes a link.
///
/// # Errors
/// If that is not allowed; one that is gone already is no failure.
pub(crate) fn remove_link(link: &HeldLink) -> io::Result<()> {
    match disk::remove_file(&link.path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
