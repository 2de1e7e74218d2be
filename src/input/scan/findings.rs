//! Findings about the log after a look at its directory: whether events can arrive at all, and how an operator fixes
//! it.
//!
//! [`after_look`] raises and clears all such findings, for the thread that follows the log and for `check` and
//! `status`, which look once.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::catalogue::Found;
use super::inspect::last_event;
use super::listing::Unfollowed;
use super::rotation;
use crate::config::FollowedLog;
use crate::discovery;
use crate::disk::{Links, NoFile, ReadFile, descriptors};
use crate::telemetry::{FindingKind, InputFinding, InputState, InputStats, Time, human};

/// The hint for a log that the agent may not read.
const RIGHTS: &str = "run as root, give the agent CAP_DAC_READ_SEARCH, or change mode and group of the file and its directory";
/// The most files that a finding names.
const NAMED: usize = 5;
/// A log may be empty this long: a server writes its first event within seconds.
const EMPTY: Duration = Duration::from_mins(10);

/// A log is silent after this: an API server records something every few seconds, unless its policy keeps next to
/// nothing.
const SILENT: Duration = Duration::from_hours(24);
/// `check` fails on a log that nobody has written to for days.
const DEAD: Duration = Duration::from_hours(48);

/// Who looks; this decides what is reported.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Looker {
    /// The running agent: a condition that may end within minutes is not reported yet.
    Follower,
    /// `check` and `status`, which look once.
    Once,
}

/// Updates the state and the findings of an input from the result of a look.
pub(crate) fn after_look(
    stats: &InputStats,
    config: &FollowedLog,
    found: &io::Result<Found>,
    looker: Looker,
) {
    let readable = match found {
        Ok(found) => state_of(found, &config.path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            InputState::Missing { path: config.path.clone() }
        }
        Err(error) => {
            InputState::Unreadable { path: config.path.clone(), error: descriptors::tell(error) }
        }
    };
    let spent = match found {
        Ok(found) => found.unknown.spent,
        Err(error) => descriptors::is_spent(error),
    };
    let no_descriptors = spent.then(|| no_descriptors(config));
    let kept_open = found.as_ref().is_ok_and(|found| !found.generations.is_empty());
    let odd = not_a_file(&config.path);
    // The agent makes its own log when it starts, and senders may be silent.
    let theirs = config.spool.is_none();
    let missing = match &readable {
        InputState::Missing { .. } if odd.is_none() && theirs => {
            Some(missing(config, found, kept_open))
        }
        _ => None,
    };
    let unreadable = match &readable {
        InputState::Unreadable { path, error } if odd.is_none() && !spent => {
            Some(InputFinding::failure(
                FindingKind::LogUnreadable,
                format!("{} cannot be read: {error}", path.display()),
                RIGHTS,
            ))
        }
        _ => None,
    };
    let found_theirs = found.as_ref().ok().filter(|_| theirs);
    let empty = found_theirs.and_then(|found| empty(config, found, looker));
    rotation::after_look(stats, &config.path, found.as_ref().ok());
    stats.set_state(readable);
    stats.last_write.set(last_write(&config.path));
    stats.set_finding(FindingKind::NotAFile, odd);
    stats.set_finding(FindingKind::LogMissing, missing);
    stats.set_finding(FindingKind::LogUnreadable, unreadable);
    stats.set_finding(FindingKind::LogEmpty, empty);
    let silent = found_theirs.and_then(|found| silent(config, found, looker));
    stats.set_finding(FindingKind::LogSilent, silent);
    stats.set_finding(FindingKind::NoDescriptors, no_descriptors);
    if let Ok(found) = found {
        stats.set_finding(FindingKind::UnfollowedFiles, unfollowed(config, &found.unfollowed));
    }
}

/// The state to report for a log, given its listing.
fn state_of(found: &Found, live: &Path) -> InputState {
    match found.unreadable.first() {
        Some((path, error)) => {
            InputState::Unreadable { path: path.clone(), error: error.to_string() }
        }
        None if found.renaming => InputState::Ok,
        None if !found.moved && (found.live_exists || found.backups > 0) => InputState::Ok,
        None => InputState::Missing { path: live.to_owned() },
    }
}

/// Files beside the log that may hold its events but are not shipped.
fn unfollowed(config: &FollowedLog, files: &[Unfollowed]) -> Option<InputFinding> {
    let shown = |file: &Unfollowed| match &file.why {
        Some(why) => format!("{} ({why})", file.name),
        None => file.name.clone(),
    };
    let mut names: Vec<_> = files.iter().map(shown).collect();
    names.sort_unstable();
    let more = names.len().checked_sub(NAMED).filter(|more| *more > 0);
    names.truncate(NAMED);
    let more = more.map(|more| format!(" and {more} more")).unwrap_or_default();
    (!names.is_empty()).then(|| {
        InputFinding::warning(
            FindingKind::UnfollowedFiles,
            format!(
                "beside {} there are files that look like its backups and are not followed: {}{more}",
                config.path.display(),
                names.join(", ")
            ),
            "if they are backups, name them with `backups = \"PATTERN\"` in this input or ship them with `replay`; if not, move them elsewhere",
        )
    })
}

/// No file descriptor is left. The look is retried until there is one; meanwhile no file counts as unreadable or
/// lost.
fn no_descriptors(config: &FollowedLog) -> InputFinding {
    InputFinding::failure(
        FindingKind::NoDescriptors,
        format!(
            "no file descriptor is left to look at {} and its backups ({})",
            config.path.display(),
            descriptors::limited()
        ),
        descriptors::WAY_OUT,
    )
}

fn missing(config: &FollowedLog, found: &io::Result<Found>, kept_open: bool) -> InputFinding {
    let (kind, shown) = (FindingKind::LogMissing, config.path.display());
    if kept_open {
        return InputFinding::warning(
            kind,
            format!(
                "{shown} was moved or deleted while the server writes to it; its open file is followed"
            ),
            "restart the API server to make it open a new one",
        );
    }
    let what = match found {
        Ok(_) => format!("{shown} is not there"),
        Err(_) => format!("the directory of {shown} is not there"),
    };
    InputFinding::failure(kind, what, discovery::hint(Path::new("/"), &config.path))
}

/// A log whose path is no regular file, or a symbolic link that is not followed. Opening a FIFO would block, a device
/// has no end, and a link leads wherever its maker wants.
pub(crate) fn not_a_file(path: &Path) -> Option<InputFinding> {
    let error = ReadFile::open(path, Links::Trusted).err()?;
    let what = NoFile::of(&error)?;
    Some(InputFinding::failure(
        FindingKind::NotAFile,
        match what {
            NoFile::Other(kind) => format!("{} is {kind}, not a log file", path.display()),
            link => format!("{} cannot be followed: {link}", path.display()),
        },
        "set `path` to the regular file that --audit-log-path of kube-apiserver names; a server that logs to a pipe or a device cannot be followed",
    ))
}

/// When somebody last wrote to the log.
fn last_write(path: &Path) -> Option<Time> {
    let modified = fs::metadata(path).ok().filter(fs::Metadata::is_file)?.modified().ok()?;
    let nanos = modified.duration_since(UNIX_EPOCH).ok()?.as_nanos();
    Some(Time::from_nanos(i64::try_from(nanos).ok()?))
}

/// The server created the log, and nothing was ever written to it.
fn empty(config: &FollowedLog, found: &Found, looker: Looker) -> Option<InputFinding> {
    let meta = fs::metadata(&config.path).ok().filter(|meta| meta.is_file() && meta.len() == 0)?;
    if found.backups > 0 || !found.live_exists {
        return None;
    }
    let modified = meta.modified().ok()?;
    let age = SystemTime::now().duration_since(modified).unwrap_or_default();
    if age < EMPTY && looker == Looker::Follower {
        return None;
    }
    Some(InputFinding::failure(
        FindingKind::LogEmpty,
        format!(
            "{} has been empty for {}: the API server records nothing",
            config.path.display(),
            human::duration(age)
        ),
        "give kube-apiserver a policy with rules above `level: None` (--audit-policy-file); RKE2 in CIS mode writes one that records \
         nothing to /etc/rancher/rke2/audit-policy.yaml",
    ))
}

/// Nobody has written to the log for a day or more. `check` uses the time of the last event. The follower uses the
/// time of the last write, which costs nothing, and only warns: the audit policy may be the reason for a quiet log.
fn silent(config: &FollowedLog, found: &Found, looker: Looker) -> Option<InputFinding> {
    let kind = FindingKind::LogSilent;
    let shown = config.path.display();
    let hint = "see that kube-apiserver runs on this host and that `path` is what its --audit-log-path names";
    let age = match looker {
        Looker::Once => {
            let last = u64::try_from(last_event(&found.generations)?).ok()?;
            SystemTime::now().duration_since(UNIX_EPOCH + Duration::from_nanos(last)).ok()?
        }
        Looker::Follower => {
            let modified = fs::metadata(&config.path).ok()?.modified().ok()?;
            SystemTime::now().duration_since(modified).ok()?
        }
    };
    let what = format!("nothing was written to {shown} for {}", human::duration(age));
    match looker {
        _ if age < SILENT || found.generations.is_empty() => None,
        Looker::Once if age >= DEAD => Some(InputFinding::failure(kind, what, hint)),
        _ => Some(InputFinding::warning(kind, what, hint)),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::net::UnixListener;
    use std::path::PathBuf;

    use super::*;
    use crate::config::{Config, FollowedLog};
    use crate::event::Key;
    use crate::input::Input;
    use crate::telemetry::{Identity, Severity, Telemetry};

    /// The findings of `check` for a log that `make` creates.
    fn found(make: impl FnOnce(&Path)) -> (tempfile::TempDir, Vec<InputFinding>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.log");
        make(&path);
        let findings = look(&path);
        (dir, findings)
    }

    fn config(path: &Path) -> FollowedLog {
        let text = format!(
            "[inputs.a]\ntype = \"file\"\npath = {path:?}\n[outputs.f]\ntype = \"file\"\npath = \"/f\"\n"
        );
        Config::parse(&text, Path::new("test"), &|_| None).unwrap().inputs[0].log().clone()
    }

    fn look(path: &Path) -> Vec<InputFinding> {
        let telemetry = Telemetry::new(Identity { node: "n".into(), cluster: None, version: "0" });
        let stats = telemetry.input("a");
        let _ = Input::new(config(path), Key([1; 32])).look_once(&stats);
        stats.findings()
    }

    fn event(ago: Duration) -> String {
        let at = jiff::Timestamp::now() - jiff::SignedDuration::try_from(ago).unwrap();
        format!(
            r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"1","stage":"ResponseComplete","requestReceivedTimestamp":"{at:.6}","stageTimestamp":"{at:.6}"}}"#
        ) + "\n"
    }

    #[test]
    fn a_log_that_was_written_to_just_now_leaves_nothing_to_say() {
        let (_dir, findings) =
            found(|path| fs::write(path, event(Duration::from_secs(5))).unwrap());
        assert_eq!(findings, []);
    }

    #[test]
    fn each_thing_that_is_no_log_is_named_and_nobody_waits_for_it() {
        type Make = fn(&Path);
        let table: [(&str, Make); 4] = [
            ("a directory", |path| fs::create_dir(path).unwrap()),
            ("a FIFO", |path| {
                let kind = rustix::fs::FileType::Fifo;
                rustix::fs::mknodat(rustix::fs::CWD, path, kind, rustix::fs::Mode::RUSR, 0)
                    .unwrap();
            }),
            ("a socket", |path| drop(UnixListener::bind(path).unwrap())),
            ("a device", |path| std::os::unix::fs::symlink("/dev/null", path).unwrap()),
        ];
        for (name, make) in table {
            let (_dir, findings) = found(make);
            assert_eq!(findings.len(), 1, "{name}: {findings:?}");
            assert_eq!(
                (findings[0].kind, findings[0].severity),
                (FindingKind::NotAFile, Severity::Failure)
            );
            assert!(
                findings[0].what.contains(&format!(" is {name}, not a log file")),
                "{findings:?}"
            );
        }
    }

    #[test]
    fn a_missing_log_and_a_missing_directory_fail_with_the_way_out() {
        let (dir, findings) = found(|_| {});
        assert_eq!(findings[0].kind, FindingKind::LogMissing);
        assert!(findings[0].is_failure() && findings[0].what.ends_with("audit.log is not there"));
        assert!(!findings[0].hint.is_empty());
        let below: PathBuf = dir.path().join("nowhere/audit.log");
        assert!(look(&below)[0].what.starts_with("the directory of "), "{:?}", look(&below));
    }

    #[test]
    fn an_empty_log_names_the_policy_but_not_beside_a_backup_that_is_full() {
        let (dir, findings) = found(|path| drop(File::create(path).unwrap()));
        assert_eq!(findings[0].kind, FindingKind::LogEmpty);
        assert!(findings[0].is_failure() && findings[0].hint.contains("--audit-policy-file"));
        let backup = dir.path().join("audit-2026-11-26T01-02-03.004.log");
        fs::write(backup, event(Duration::from_secs(5))).unwrap();
        assert_eq!(look(&dir.path().join("audit.log")), []);
    }

    #[test]
    fn a_log_without_an_event_for_a_day_is_a_warning_and_for_days_a_failure() {
        for (hours, severity) in [
            (1, None),
            (23, None),
            (25, Some(Severity::Warning)),
            (49, Some(Severity::Failure)),
            (24 * 90, Some(Severity::Failure)),
        ] {
            let (_dir, findings) = found(|path| {
                let lines =
                    event(Duration::from_hours(hours + 3)) + &event(Duration::from_hours(hours));
                fs::write(path, lines).unwrap();
            });
            let found: Vec<_> = findings.iter().map(|one| (one.kind, one.severity)).collect();
            let wanted: Vec<_> =
                severity.into_iter().map(|severity| (FindingKind::LogSilent, severity)).collect();
            assert_eq!(found, wanted, "{hours} h");
        }
    }
}
