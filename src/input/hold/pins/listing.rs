//! Lists and removes links in a hold directory, for the command line.

use std::io;
use std::path::{Path, PathBuf};

use super::name::LinkName;
use crate::disk::OwnDirectory;

/// A link in a hold directory, made by any agent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct HeldLink {
    pub(crate) path: PathBuf,
    /// The agent that made it, according to its name.
    pub(crate) agent: String,
    pub(crate) input: String,
    /// Device and inode of the file.
    pub(crate) id: (u64, u64),
    /// Bytes on disk.
    pub(crate) bytes: u64,
    /// The link is the file's only name.
    pub(crate) alone: bool,
}

/// Lists the links in a hold directory, sorted by name. Other files are left out.
///
/// # Errors
/// If the directory cannot be read. A missing directory counts as empty.
pub(crate) fn held_links(directory: &Path) -> io::Result<Vec<HeldLink>> {
    let directory = match OwnDirectory::open(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        directory => directory?,
    };
    let mut links = Vec::new();
    for name in directory.names()? {
        let Some(LinkName { agent, input, .. }) = LinkName::parse(&name.to_string_lossy()) else {
            continue;
        };
        let stat = match directory.stat(&name) {
            // It was removed since the listing.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            stat => stat?,
        };
        if stat.is_file {
            let (path, alone) = (directory.path().join(&name), stat.alone);
            links.push(HeldLink { path, agent, input, id: stat.id, bytes: stat.bytes, alone });
        }
    }
    links.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(links)
}

/// Removes a link.
///
/// # Errors
/// If removing it is not permitted. A link that is gone already is no error.
pub(crate) fn remove_link(link: &HeldLink) -> io::Result<()> {
    let (Some(directory), Some(name)) = (link.path.parent(), link.path.file_name()) else {
        return Ok(());
    };
    match OwnDirectory::open(directory).and_then(|directory| directory.remove(name)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
