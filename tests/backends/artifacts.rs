//! What a release consists of, as `etc/release/release.sh` makes it in `target/release-artifacts`, or in the folder that
//! `AUDITRAIL_RELEASE_ARTIFACTS` names. Tests that need an artifact print that they were not run, and pass. With
//! `AUDITRAIL_REQUIRE_RELEASE=1`, as `.ci/run` sets it, they fail instead.

use std::env;
use std::path::{Path, PathBuf};

use crate::servers::{is_set, say};

const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The number that `etc/release/before` gives the version before.
pub(crate) const BEFORE: &str = "0.0.9";

/// An architecture that is released, by its name in Rust.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Arch {
    X86,
    Arm,
}

impl Arch {
    const ALL: [Self; 2] = [Self::X86, Self::Arm];

    /// The architectures of the release: both, or those that `AUDITRAIL_RELEASE_ARCHITECTURES` names.
    pub(crate) fn released() -> Vec<Self> {
        let named = env::var("AUDITRAIL_RELEASE_ARCHITECTURES").ok();
        let is_named = |arch: &Self| {
            named
                .as_ref()
                .is_none_or(|named| named.split_whitespace().any(|name| name == arch.rust()))
        };
        Self::ALL.into_iter().filter(is_named).collect()
    }

    /// The architecture of this machine.
    pub(crate) fn own() -> Self {
        if cfg!(target_arch = "aarch64") { Self::Arm } else { Self::X86 }
    }

    pub(crate) fn rust(self) -> &'static str {
        match self {
            Self::X86 => "x86_64",
            Self::Arm => "aarch64",
        }
    }

    /// As Debian and container images name it.
    pub(crate) fn debian(self) -> &'static str {
        match self {
            Self::X86 => "amd64",
            Self::Arm => "arm64",
        }
    }

    /// The emulator that runs its programs on this machine; `None`: the machine itself does.
    pub(crate) fn emulator(self) -> Option<String> {
        (self != Self::own()).then(|| format!("qemu-{}-static", self.rust()))
    }
}

/// The release binary; `None`: there is none, which is printed.
pub(crate) fn binary(arch: Arch) -> Option<PathBuf> {
    artifact(&format!("auditrail-{VERSION}-{}-linux-musl", arch.rust()))
}

/// The archive with the container image.
pub(crate) fn image() -> Option<PathBuf> {
    artifact(&format!("auditrail-{VERSION}-image.tar"))
}

/// The Debian package of this version, for this machine.
pub(crate) fn deb() -> Option<PathBuf> {
    artifact(&deb_name(VERSION))
}

/// The RPM package of this version, for this machine.
pub(crate) fn rpm() -> Option<PathBuf> {
    artifact(&rpm_name(VERSION))
}

/// The file name of the Debian package of a version, for this machine.
pub(crate) fn deb_name(version: &str) -> String {
    format!("auditrail_{version}-1_{}.deb", Arch::own().debian())
}

/// The file name of the RPM package of a version, for this machine.
pub(crate) fn rpm_name(version: &str) -> String {
    format!("auditrail-{version}-1.{}.rpm", Arch::own().rust())
}

/// A file or folder of the version before, below `target/before`; `None`: it is not there, which is printed.
pub(crate) fn before(name: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/before");
    if_there(folder.join(name), "etc/release/before.sh")
}

fn artifact(name: &str) -> Option<PathBuf> {
    let folder = env::var_os("AUDITRAIL_RELEASE_ARTIFACTS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/release-artifacts"),
        PathBuf::from,
    );
    if_there(folder.join(name), "etc/release/release.sh")
}

fn if_there(path: PathBuf, made_by: &str) -> Option<PathBuf> {
    if path.try_exists().unwrap() {
        return Some(path);
    }
    let why = format!("{} is missing: {made_by} makes it", path.display());
    assert!(!is_set("AUDITRAIL_REQUIRE_RELEASE"), "{why}");
    say(&format!("not run: {why}"));
    None
}
