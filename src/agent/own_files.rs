//! Refuses an output file that the agent, another output or the API server owns, even if it is reached by another
//! name.
//!
//! `config/paths.rs` compares paths as written. This file looks at the disk: it follows symbolic links, and compares
//! hard links and file types. `check` shows the findings; `run` and `replay` do not start with one.

use std::ffi::{OsStr, OsString};
use std::fs::{self, Metadata};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use super::parts::inputs_of;
use super::transforms::NotAccepted;
use crate::checkpoint::Store;
use crate::config::{
    Config, FollowedLog, Http, Output, OutputKind, RedactMode, SPOOLS, SecretSource, is_backup,
};
use crate::output::Finding;

/// Symbolic links that are followed in a row; the kernel follows 40.
const LINKS: usize = 40;
/// Prefixes of the file names in the state directory.
const STATE: [&str; 4] = ["checkpoint", "lock", "node.key", "agent.sock"];
/// The directory below it.
const LETTERS: &str = "dead-letters";
/// Fewest digits that the rotation of a file output appends.
const DIGITS: usize = 6;

/// Refuses to start if two would use one file.
///
/// # Errors Names the first conflict and the way out.
pub(crate) fn refuse(config: &Config, path: &Path) -> anyhow::Result<()> {
    match conflicts(config, path).into_iter().next() {
        None => Ok(()),
        Some((subject, Finding { what, hint, .. })) => {
            Err(NotAccepted::error(format!("{subject}: {what}: {hint}")))
        }
    }
}

/// The conflicts, each with the table of the configuration that has to change.
pub(crate) fn conflicts(config: &Config, path: &Path) -> Vec<(String, Finding)> {
    let mut found = Vec::new();
    inputs(config, &mut found);
    let owned = Owned::of(config, path);
    let mut earlier: Vec<(String, Spot)> = Vec::new();
    for output in &config.outputs {
        let OutputKind::File(file) = &output.kind else { continue };
        if file.path.as_os_str() == "-" {
            continue;
        }
        let mut own: Vec<PathBuf> =
            inputs_of(config, output).map(|input| file.path_for(&input.name)).collect();
        own.dedup();
        for written in own {
            let subject = format!("outputs.{}", output.name);
            let spot = Spot::of(&written);
            let shown = spot.shown();
            if let Some(what) = spot.odd_kind() {
                let hint = "write to a regular file, or to standard output with `path = \"-\"`";
                found.push((subject.clone(), Finding::fail(format!("{shown} is {what}"), hint)));
            } else if let Some(whose) = owned.owner(&spot) {
                let hint = "set `path` of this output to a file of its own in another directory";
                found.push((subject.clone(), Finding::fail(format!("{shown} is {whose}"), hint)));
            } else if let Some((other, why)) =
                earlier.iter().find_map(|(other, taken)| Some((other, spot.meets(taken)?)))
            {
                let hint = "give each output a file of its own: change `path` of one of the two";
                found
                    .push((subject.clone(), Finding::fail(format!("{shown} {why} {other}"), hint)));
            }
            earlier.push((subject, spot));
        }
    }
    found
}

/// Two inputs that follow one log, and a state directory among the logs.
fn inputs(config: &Config, found: &mut Vec<(String, Finding)>) {
    let mut earlier: Vec<(&FollowedLog, Spot)> = Vec::new();
    let state = resolved(&config.state_dir);
    for input in config.logs() {
        let spot = Spot::of(&input.path);
        let subject = format!("inputs.{}", input.name);
        if let Some((other, _)) = earlier.iter().find(|(_, taken)| spot.is(taken)) {
            let what =
                format!("{} is the log that inputs.{} follows already", spot.shown(), other.name);
            let hint = "remove one of the two inputs: each would deliver every event";
            found.push((subject.clone(), Finding::fail(what, hint)));
        }
        let hold = resolved(&input.hold.dir);
        let beside = spot.path.parent() == Some(&*state);
        if beside || hold == state {
            let place = if beside { "the directory of the log" } else { "the hold directory" };
            let what = format!("`state_dir` {} is {place}", config.state_dir.display());
            let hint = "set `state_dir` to a directory of its own: files of others are renamed and deleted here";
            found.push((subject, Finding::fail(what, hint)));
        }
        earlier.push((input, spot));
    }
}

/// A file to be written, as the kernel finds it.
struct Spot {
    /// As configured.
    typed: PathBuf,
    /// With symbolic links resolved, as far as it exists.
    path: PathBuf,
    meta: Option<Metadata>,
}

impl Spot {
    fn of(path: &Path) -> Self {
        let (typed, path) = (path.to_owned(), resolved(path));
        let meta = fs::metadata(&path).ok();
        Self { typed, path, meta }
    }

    fn name(&self) -> &OsStr {
        self.path.file_name().unwrap_or_default()
    }

    /// The path as configured, and where it leads.
    fn shown(&self) -> String {
        if self.typed == self.path {
            return self.path.display().to_string();
        }
        format!("{} (that is {})", self.typed.display(), self.path.display())
    }

    /// The type of the file, if it cannot hold lines.
    fn odd_kind(&self) -> Option<&'static str> {
        let kind = self.meta.as_ref()?.file_type();
        Some(match kind {
            kind if kind.is_file() => return None,
            kind if kind.is_dir() => "a directory",
            kind if kind.is_fifo() => {
                "a FIFO, which blocks until somebody reads it and keeps nothing"
            }
            kind if kind.is_socket() => "a socket",
            _ => "a device, which keeps nothing",
        })
    }

    /// Whether it is the same file, by path or by hard link.
    fn is(&self, other: &Self) -> bool {
        self.path == other.path || self.is_file(other.meta.as_ref())
    }

    fn is_file(&self, other: Option<&Metadata>) -> bool {
        let id = |meta: &Metadata| (meta.dev(), meta.ino());
        self.meta.as_ref().map(id).zip(other.map(id)).is_some_and(|(own, other)| own == other)
    }

    /// How it conflicts with another output's file.
    fn meets(&self, other: &Self) -> Option<&'static str> {
        if self.is(other) {
            Some("is the file of")
        } else if self.is_rotated_from(other) {
            Some("has the name of a rotated file of")
        } else if other.is_rotated_from(self) {
            Some("would be rotated to the name of the file of")
        } else {
            None
        }
    }

    /// Whether the rotation of the other file could give it this name.
    fn is_rotated_from(&self, other: &Self) -> bool {
        let rest = self.name().as_encoded_bytes().strip_prefix(other.name().as_encoded_bytes());
        let digits = rest.and_then(|rest| rest.strip_prefix(b"."));
        self.path.parent() == other.path.parent()
            && digits.is_some_and(|digits| {
                digits.len() >= DIGITS && digits.iter().all(u8::is_ascii_digit)
            })
    }
}

/// Files and directories with an owner.
struct Owned {
    state: PathBuf,
    /// Directories with all their contents, and their owners.
    directories: Vec<(PathBuf, String)>,
    /// Files, and what each is.
    files: Vec<(Spot, String)>,
    /// Logs with resolved paths, and the inputs that follow them.
    logs: Vec<(Spot, String)>,
    /// The file that receives the process's own messages.
    stderr: Option<Metadata>,
}

impl Owned {
    fn of(config: &Config, path: &Path) -> Self {
        let state = resolved(&config.state_dir);
        let mut directories = vec![
            (state.join(LETTERS), "among the dead letters".to_owned()),
            (state.join(SPOOLS), "among the spools of webhooks".to_owned()),
        ];
        let mut logs = Vec::new();
        for input in config.logs() {
            let what = format!("in the hold directory of inputs.{}", input.name);
            directories.push((resolved(&input.hold.dir), what));
            logs.push((Spot::of(&input.path), format!("inputs.{}", input.name)));
        }
        let mut files = vec![(Spot::of(path), "the configuration".to_owned())];
        for (table, path, key) in named_files(config) {
            files.push((Spot::of(path), format!("the file that `{key}` of {table} names")));
        }
        for name in Store::FILES {
            files.push((Spot::of(&state.join(name)), "the agent's own, in `state_dir`".to_owned()));
        }
        let stderr = io::stderr().flush().ok().and_then(|()| fs::metadata("/proc/self/fd/2").ok());
        let stderr = stderr.filter(Metadata::is_file);
        Self { state, directories, files, logs, stderr }
    }

    /// Why an output must not write to this file.
    fn owner(&self, spot: &Spot) -> Option<String> {
        let name = spot.name().to_string_lossy();
        if spot.path.parent() == Some(&*self.state) && STATE.iter().any(|own| name.starts_with(own))
        {
            return Some("the agent's own, in `state_dir`".to_owned());
        }
        if let Some((_, whose)) =
            self.directories.iter().find(|(directory, _)| spot.path.starts_with(directory))
        {
            return Some(whose.clone());
        }
        if let Some((_, whose)) = self.files.iter().find(|(file, _)| spot.is(file)) {
            return Some(whose.clone());
        }
        for (log, input) in &self.logs {
            if spot.is(log) {
                return Some(format!("the log that {input} follows"));
            }
            if is_backup(&log.path, &spot.path) || linked_backup(log, spot) {
                return Some(format!(
                    "what {input} takes for a backup of its log {}",
                    log.path.display()
                ));
            }
        }
        let is_log = spot.is_file(self.stderr.as_ref());
        is_log.then(|| "the file that the agent's own messages go to".to_owned())
    }
}

/// Whether it is a hard link to a backup.
fn linked_backup(log: &Spot, spot: &Spot) -> bool {
    let Some(directory) =
        log.path.parent().filter(|_| spot.meta.as_ref().is_some_and(|meta| meta.nlink() > 1))
    else {
        return false;
    };
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.path())
        .filter(|path| is_backup(&log.path, path))
        .any(|path| spot.is_file(fs::metadata(path).ok().as_ref()))
}

/// The files that the inputs and outputs name, each with its table and its key.
pub(super) fn named_files(config: &Config) -> Vec<(String, &Path, &'static str)> {
    let inputs = config.webhooks().map(|one| (format!("inputs.{}", one.log.name), one.files()));
    let outputs = config.outputs.iter();
    let outputs = outputs.map(|one| (format!("outputs.{}", one.name), named_by(one)));
    let tables = inputs.chain(outputs);
    tables
        .flat_map(|(table, files)| {
            files.into_iter().map(move |(path, key)| (table.clone(), path, key))
        })
        .collect()
}

/// The files that an output names, each with its key: secrets, certificates, the policy, the key of redaction.
fn named_by(output: &Output) -> Vec<(&Path, &'static str)> {
    let mut files = output.kind.http().map(named).unwrap_or_default();
    if let Some(policy) = &output.transform.policy_file {
        files.push((policy, "policy_file"));
    }
    let redact = output.transform.redact.as_ref().map(|redact| &redact.mode);
    if let Some(RedactMode::Hash { key_file: Some(key) }) = redact {
        files.push((key, "redact.key_file"));
    }
    files
}

/// The files that an HTTP output reads, and the configuration keys that name them.
pub(crate) fn named(http: &Http) -> Vec<(&Path, &'static str)> {
    let mut files: Vec<(&Path, &'static str)> = http.auth.file().into_iter().collect();
    for (_, source) in &http.headers {
        if let SecretSource::File(path) = source {
            files.push((path, "headers"));
        }
    }
    if let Some(path) = &http.tls.ca_file {
        files.push((path, "tls.ca_file"));
    }
    if let Some((certificate, key)) = &http.tls.client {
        files.extend([(&**certificate, "tls.cert_file"), (&**key, "tls.key_file")]);
    }
    files
}

/// The path without symbolic links and detours. If it does not exist yet, its existing part is resolved.
fn resolved(path: &Path) -> PathBuf {
    let mut path = path.to_owned();
    for _ in 0..LINKS {
        if let Ok(whole) = fs::canonicalize(&path) {
            return whole;
        }
        // A link to a file that does not exist yet: the file will be created there.
        let Ok(to) = fs::read_link(&path) else { break };
        path = path.parent().unwrap_or(Path::new("/")).join(to);
    }
    let (mut above, mut rest): (&Path, Vec<OsString>) = (&path, Vec::new());
    loop {
        if let Ok(whole) = fs::canonicalize(above) {
            return rest.into_iter().rev().fold(whole, |path, part| path.join(part));
        }
        let (Some(parent), Some(name)) = (above.parent(), above.file_name()) else { return path };
        rest.push(name.to_owned());
        above = parent;
    }
}
