//! What a release consists of, as `etc/release/release.sh` makes it in `target/release-artifacts`, or in the folder that
//! `AUDITRAIL_RELEASE_ARTIFACTS` names. Tests that need an artifact print that they were not run, and pass. With
//! `AUDITRAIL_REQUIRE_RELEASE=1`, as `.ci/run` sets it, they fail instead.

use std::env;
use std::path::{Path, PathBuf};

use crate::servers::{is_set, say};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// An architecture that is released, by its name in Rust.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Arch {
    X86,
    Arm,
}

impl Arch {
    pub(crate) const ALL: [Self; 2] = [Self::X86, Self::Arm];

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
    artifact(&format!("auditrail_{VERSION}-1_{}.deb", Arch::own().debian()))
}

/// The RPM package of this version, for this machine.
pub(crate) fn rpm() -> Option<PathBuf> {
    artifact(&format!("auditrail-{VERSION}-1.{}.rpm", Arch::own().rust()))
}

fn artifact(name: &str) -> Option<PathBuf> {
    let folder = env::var_os("AUDITRAIL_RELEASE_ARTIFACTS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/release-artifacts"),
        PathBuf::from,
    );
    let path = folder.join(name);
    if path.is_file() {
        return Some(path);
    }
    let why = format!("{} is missing: etc/release/release.sh makes it", path.display());
    assert!(!is_set("AUDITRAIL_REQUIRE_RELEASE"), "{why}");
    say(&format!("not run: {why}"));
    None
}
