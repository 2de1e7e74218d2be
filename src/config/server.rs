//! `[server]`: the HTTP server for metrics, health and status pages. Also reads `state_dir` alone, for probes.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use super::address::valid_address;
use super::item::Item;
use super::source::ConfigSource;
use super::table::Table;
use super::{ConfigError, STATE_DIR, read};

/// The settings of the HTTP server.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    /// `host:port`, by default `127.0.0.1:9885`; `None`: no server.
    pub(crate) listen: Option<String>,
    /// Host names that requests may use, in addition to the ones that are always accepted. A leading dot stands for all
    /// names below.
    pub(crate) allowed_hosts: Vec<String>,
}

impl Server {
    pub(super) fn read(mut table: Table<'_>) -> Result<Self, ConfigError> {
        let listen = match table.get("listen") {
            None => Some("127.0.0.1:9885".into()),
            Some(item) if item.is_off() => None,
            Some(item) => Some(listen(&item)?),
        };
        let allowed_hosts = match table.get("allowed_hosts") {
            None => Vec::new(),
            Some(item) => item.list()?.iter().map(host).collect::<Result<_, _>>()?,
        };
        table.finish()?;
        Ok(Self { listen, allowed_hosts })
    }
}

/// Where the pages are.
fn listen(item: &Item<'_>) -> Result<String, ConfigError> {
    valid_address(&item.text()?).map_or_else(
        || {
            Err(item
                .wrong(format!("write a host and a port, such as {FORMS}; \"off\" for no server")))
        },
        Ok,
    )
}

/// How addresses to listen on are written.
const FORMS: &str = "\"127.0.0.1:9885\", \"0.0.0.0:9885\" for every address, or \"[::1]:9885\"";

/// A host name without a port. IP addresses need not be listed.
fn host(item: &Item<'_>) -> Result<String, ConfigError> {
    let text = item.text()?;
    let name = text.strip_prefix('.').unwrap_or(&text);
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || text.len() > 253 || name.contains("..") || !name.chars().all(is_name) {
        return Err(item.wrong(
            "write a name without a port, such as \"audit.example.org\", or \".example.org\" for all names below it",
        ));
    }
    Ok(text)
}

/// The `state_dir` of a configuration file, even if the rest of the file is invalid: a probe asks the running agent,
/// which has loaded its configuration already.
///
/// # Errors
/// If the file cannot be read, `state_dir` is not accepted, or the file is not TOML and no `state_dir` can be found in
/// it.
pub(crate) fn state_dir(path: &Path) -> Result<PathBuf, ConfigError> {
    let text = read(path)?;
    let env = |name: &str| std::env::var(name).ok();
    let source =
        ConfigSource { name: path, text: &text, env: &env, secret_lines: RefCell::default() };
    let (mut document, broken) = Table::as_far_as_it_goes(&source);
    match (document.get("state_dir"), broken) {
        (Some(item), _) => item.path(),
        (None, Some(error)) => Err(error),
        (None, None) => Ok(STATE_DIR.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn read_from(text: &str) -> Result<PathBuf, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        fs::write(&path, text).unwrap();
        state_dir(&path).map_err(|error| error.to_string())
    }

    #[test]
    fn the_state_directory_is_found_whatever_else_is_wrong_with_the_file() {
        for (text, expected) in [
            ("", "/var/lib/auditrail"),
            ("state_dir = \"/a\"\nzebra = 1\n[inputs]\nx = 3", "/a"),
            ("node = \"${NOT_SET_ANYWHERE}\"\nstate_dir = \"/a\"", "/a"),
            ("state_dir = \"/a\"\n[outputs.loki\nendpoint = \"x", "/a"),
            ("cluster = = 3\nstate_dir = \"/a\"", "/a"),
        ] {
            assert_eq!(read_from(text), Ok(expected.into()), "{text}");
        }
        for (text, expected) in [
            ("[outputs.loki", "f:1: not TOML: "),
            ("state_dir = 3", "write a text in quotes"),
            ("state_dir = \"${NOT_SET_ANYWHERE}\"", "NOT_SET_ANYWHERE"),
        ] {
            let error = read_from(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
