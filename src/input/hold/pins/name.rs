//! The names of links: each says which agent, input and generation the link belongs to. Also the hints for links that
//! cannot be made.

use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::disk::{self, Links, NotOurs, OwnDirectory, ReadFile};
use crate::event::{Fingerprint, Key};

/// `AGENT-INPUT-FINGERPRINT.log`, with `.gz` after it for a compressed file. The agent is identified by the key in
/// its state directory.
#[derive(Debug)]
pub(crate) struct Naming {
    agent: String,
    input: Arc<str>,
    inputs: Vec<Arc<str>>,
}

/// The name that the agent with this key has in its links.
pub(crate) fn agent_name(key: &Key) -> String {
    let mut agent = key.hash(b"hold").to_string();
    agent.truncate(AGENT);
    agent
}

/// Hex digits of an agent's name.
const AGENT: usize = 8;

/// A parsed link name.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct LinkName {
    pub(super) agent: String,
    pub(super) input: String,
    pub(super) fingerprint: Fingerprint,
    pub(super) gzip: bool,
    /// It has its temporary name: its agent was killed while making it.
    pub(super) unfinished: bool,
}

impl LinkName {
    pub(super) fn parse(name: &str) -> Option<Self> {
        let (agent, rest) = name.split_once('-')?;
        if agent.len() != AGENT || !agent.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let (rest, unfinished) = match rest.strip_suffix(".new") {
            Some(rest) => (rest, true),
            None => (rest, false),
        };
        let (rest, gzip) = match rest.strip_suffix(".gz") {
            Some(rest) => (rest, true),
            None => (rest, false),
        };
        let (input, fingerprint) = rest.strip_suffix(".log")?.rsplit_once('-')?;
        let (agent, input) = (agent.to_owned(), input.to_owned());
        Some(Self { agent, input, fingerprint: fingerprint.parse().ok()?, gzip, unfinished })
    }
}

/// The owner of a file in the hold directory.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Whose {
    Own {
        fingerprint: Fingerprint,
        gzip: bool,
    },
    /// This input's too, but still under its temporary name.
    Unfinished {
        fingerprint: Fingerprint,
        gzip: bool,
    },
    /// Another input of this agent.
    Sibling,
    /// Made by this agent and no longer needed: its input is gone.
    Left,
    Foreign,
}

impl Naming {
    pub(super) fn new(key: &Key, input: &Arc<str>, inputs: &[Arc<str>]) -> Self {
        let agent = agent_name(key);
        Self { agent, input: Arc::clone(input), inputs: inputs.to_vec() }
    }

    pub(super) fn input(&self) -> &str {
        &self.input
    }

    pub(super) fn name(&self, fingerprint: Fingerprint, gzip: bool) -> String {
        format!("{}-{}-{fingerprint}.log{}", self.agent, self.input, if gzip { ".gz" } else { "" })
    }

    pub(super) fn whose(&self, name: &str) -> Whose {
        match LinkName::parse(name).filter(|link| link.agent == self.agent) {
            None => Whose::Foreign,
            Some(link) if link.input == *self.input => {
                let LinkName { fingerprint, gzip, .. } = link;
                if link.unfinished {
                    Whose::Unfinished { fingerprint, gzip }
                } else {
                    Whose::Own { fingerprint, gzip }
                }
            }
            Some(link) if self.inputs.iter().any(|known| **known == *link.input) => Whose::Sibling,
            Some(_) => Whose::Left,
        }
    }
}

/// Renames an input's links to its new name, so that they are not taken for leftovers of an earlier configuration.
pub(crate) fn rename_links(directory: &Path, key: &Key, from: &str, to: &str) -> io::Result<()> {
    let [from, to] = [from, to].map(Arc::<str>::from);
    let old = Naming::new(key, &from, std::slice::from_ref(&from));
    let new = Naming::new(key, &to, std::slice::from_ref(&to));
    let directory = match OwnDirectory::open(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    for name in directory.names()? {
        if let Whose::Own { fingerprint, gzip } = old.whose(&name.to_string_lossy()) {
            directory.rename(&name, new.name(fingerprint, gzip).as_ref())?;
        }
    }
    Ok(())
}

/// The hint for a link that cannot be made.
pub(super) fn way_out(error: &io::Error) -> &'static str {
    if NotOurs::of(error).is_some() {
        return "see who made it, and remove it if it is not yours; or set `hold.dir` to a directory of the agent's own in the same mount";
    }
    match error.kind() {
        io::ErrorKind::CrossesDevices => {
            "`hold.dir` and the log must be in one mount: open the log's whole directory for writing, with one ReadWritePaths= or one volume"
        }
        io::ErrorKind::PermissionDenied => {
            "run as the owner of the log and its directory, or give CAP_FOWNER and a `hold.dir` of the agent's own in the same mount"
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            "mount the log's directory for writing, or with ReadWritePaths= in the unit; `hold = { max_bytes = 0 }` does without"
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "make room on the file system of the log"
        }
        io::ErrorKind::NotADirectory => {
            "something else stands at `hold.dir`: move it away, or choose another"
        }
        _ => {
            "set `hold.dir` to a directory in the same mount as the log that the agent may write to"
        }
    }
}

/// Makes a trial link of the log in the hold directory and removes it.
pub(crate) fn try_link(log: &Path, directory: &Path) -> Result<(), (io::Error, &'static str)> {
    let trial = format!(".auditrail-check-{}", std::process::id());
    let tried = ReadFile::open(log, Links::Trusted).and_then(|log| {
        match OwnDirectory::open(directory) {
            Ok(directory) => {
                directory.link(&log, trial.as_ref())?;
                directory.remove(trial.as_ref())
            }
            // `run` creates the directory, perhaps as another user. A trial link in its parent directory says as much.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let trial = directory.parent().unwrap_or(directory).join(&trial);
                disk::hard_link(&log, &trial)?;
                disk::remove_file(&trial)
            }
            Err(error) => Err(error),
        }
    });
    tried.map_err(|error| {
        let hint = way_out(&error);
        (error, hint)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_tells_whose_it_is_and_files_of_others_are_foreign() {
        let names = ["api".into(), "api-2".into()];
        let naming = Naming::new(&Key([1; 32]), &names[0], &names);
        let fingerprint = Fingerprint([0xab; 16]);
        for gzip in [false, true] {
            let name = naming.name(fingerprint, gzip);
            assert_eq!(naming.whose(&name), Whose::Own { fingerprint, gzip });
            assert_eq!(naming.whose(&(name + ".new")), Whose::Unfinished { fingerprint, gzip });
        }
        let of = |key: u8, input: &str| {
            Naming::new(&Key([key; 32]), &Arc::from(input), &[]).name(fingerprint, false)
        };
        assert_eq!(naming.whose(&of(1, "api-2")), Whose::Sibling);
        assert_eq!(naming.whose(&of(1, "removed")), Whose::Left);
        assert_eq!(naming.whose(&of(2, "api")), Whose::Foreign);
        for name in ["", "audit.log", "readme.txt", "00000000-api-x.log"] {
            assert_eq!(naming.whose(name), Whose::Foreign, "{name}");
        }
    }
}
