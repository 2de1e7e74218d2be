//! Restricts the file system with Landlock: below the allowed paths the agent may do what it does there, and elsewhere
//! it may open nothing.
//!
//! A rule belongs to an inode. A file or directory that takes the place of an allowed one has no rule, so the agent
//! cannot open it until it starts anew; [`Replaced`] notices that.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access as _, AccessFs, BitFlags, CompatLevel, Compatible as _, PathBeneath, PathFd,
    Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, RulesetError, Scope, make_bitflags,
};

use super::strength::Strength;

/// A path, and what the agent does there and below.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Allowed {
    pub(crate) path: PathBuf,
    pub(crate) purpose: Purpose,
}

/// What the agent does below a path.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Purpose {
    /// Reads files and lists directories.
    Read,
    /// Reads the log, and links and unlinks backups in the hold directory.
    Follow,
    /// Writes and renames files of its own, and makes sockets.
    Own,
}

/// The newest version whose rights are known here. The kernel enforces those that it knows.
const NEWEST: ABI = ABI::V5;

impl Purpose {
    fn rights(self, is_directory: bool) -> BitFlags<AccessFs> {
        let read = make_bitflags!(AccessFs::{ReadFile | ReadDir});
        let rights = match self {
            Self::Read => read,
            Self::Follow => {
                // The hold directory gets a file that says what it is for, and a trial link.
                read | make_bitflags!(AccessFs::{
                    WriteFile | MakeDir | MakeReg | MakeSym | RemoveFile | RemoveDir | Refer | Truncate
                })
            }
            Self::Own => {
                let never = make_bitflags!(AccessFs::{Execute | MakeChar | MakeBlock | IoctlDev});
                AccessFs::from_all(NEWEST) & !never
            }
        };
        if is_directory { rights } else { rights & AccessFs::from_file(NEWEST) }
    }
}

/// Restricts this thread, and those that it starts.
pub(super) fn restrict(allowed: &[Allowed]) -> Strength {
    // Version 1 (Linux 5.13 to 5.18) forbids every hard link into another directory, so nothing could be held.
    let rules = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    let Ok(rules) = rules.handle_access(AccessFs::Refer) else {
        return Strength::None("the kernel lacks Landlock as of Linux 5.19, or refuses it".into());
    };
    match restricted(rules, allowed) {
        Ok(()) => Strength::Whole,
        Err(error) => Strength::None(error.to_string()),
    }
}

fn restricted(rules: Ruleset, allowed: &[Allowed]) -> Result<(), RulesetError> {
    let mut rules = rules
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))?
        .scope(Scope::Signal)?
        .create()?;
    for Allowed { path, purpose } in allowed {
        // What does not exist, nobody can open.
        let Ok(place) = PathFd::new(path) else { continue };
        rules = rules.add_rule(PathBeneath::new(place, purpose.rights(path.is_dir())))?;
    }
    rules.restrict_self()?;
    Ok(())
}

/// The paths that could be opened at the start. One that can be opened no more was replaced: no rule allows what is
/// there now.
#[derive(Clone, Debug, Default)]
pub(crate) struct Replaced(Vec<PathBuf>);

impl Replaced {
    /// Call it before the confinement begins.
    pub(crate) fn new(paths: Vec<PathBuf>) -> Self {
        Self(paths.into_iter().filter(|path| File::open(path).is_ok()).collect())
    }

    /// A path that was replaced, if there is one.
    pub(crate) fn any(&self) -> Option<&Path> {
        let is_shut = |path: &&PathBuf| {
            File::open(path).is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
        };
        self.0.iter().find(is_shut).map(PathBuf::as_path)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::thread;

    use super::*;

    /// Runs `test` in a thread that is confined to `allowed`.
    fn confined<T: Send>(allowed: &[Allowed], test: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let run = || {
                assert_eq!(
                    restrict(allowed),
                    Strength::Whole,
                    "the tests need Linux 5.19 with Landlock"
                );
                test()
            };
            scope.spawn(run).join().unwrap()
        })
    }

    fn is_refused<T>(result: std::io::Result<T>) -> bool {
        result.is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
    }

    #[test]
    fn below_the_log_backups_are_linked_and_unlinked_and_elsewhere_nothing_is_opened() {
        let dir = tempfile::tempdir().unwrap();
        let [log, state, other] = ["log", "state", "other"].map(|name| dir.path().join(name));
        for place in [&log, &state, &other] {
            fs::create_dir(place).unwrap();
            fs::write(place.join("file"), "text").unwrap();
        }
        let allowed = [
            Allowed { path: log.clone(), purpose: Purpose::Follow },
            Allowed { path: state.clone(), purpose: Purpose::Own },
            Allowed { path: dir.path().join("missing"), purpose: Purpose::Read },
        ];
        confined(&allowed, || {
            let hold = log.join(".auditrail-hold");
            fs::create_dir(&hold).unwrap();
            fs::hard_link(log.join("file"), hold.join("link")).unwrap();
            assert_eq!(fs::read_to_string(hold.join("link")).unwrap(), "text");
            fs::remove_file(hold.join("link")).unwrap();
            fs::remove_dir(&hold).unwrap();
            fs::write(state.join("new"), "text").unwrap();
            fs::rename(state.join("new"), state.join("newer")).unwrap();
            assert!(is_refused(fs::read(other.join("file"))));
            assert!(is_refused(fs::read_dir(&other)));
            assert!(is_refused(fs::write(other.join("new"), "text")));
            assert!(is_refused(fs::remove_file(other.join("file"))));
            assert!(is_refused(fs::read("/etc/shadow")));
            assert!(is_refused(fs::read_dir("/")));
            // A link out of an allowed directory leads nowhere.
            std::os::unix::fs::symlink(other.join("file"), state.join("link")).unwrap();
            assert!(is_refused(fs::read(state.join("link"))));
            assert!(is_refused(fs::hard_link(log.join("file"), other.join("link"))));
        });
    }

    #[test]
    fn a_directory_that_takes_the_place_of_an_allowed_one_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        fs::create_dir(&log).unwrap();
        let allowed = [Allowed { path: log.clone(), purpose: Purpose::Follow }];
        let replaced = Replaced::new(vec![log.clone(), dir.path().join("missing")]);
        assert_eq!(replaced.any(), None);
        let (moved, wait) = std::sync::mpsc::channel();
        let (ready, is_ready) = std::sync::mpsc::channel();
        let (watched, rules) = (&replaced, &allowed);
        thread::scope(|scope| {
            let watching = scope.spawn(move || {
                confined(rules, move || {
                    assert_eq!(watched.any(), None);
                    ready.send(()).unwrap();
                    wait.recv().unwrap();
                    watched.any().map(Path::to_owned)
                })
            });
            is_ready.recv().unwrap();
            fs::rename(&log, dir.path().join("old")).unwrap();
            fs::create_dir(&log).unwrap();
            moved.send(()).unwrap();
            assert_eq!(watching.join().unwrap(), Some(log.clone()));
        });
    }
}
