//! The package managers: their commands and their databases.

use std::fs;
use std::path::{Path, PathBuf};

use crate::artifacts::{self, BEFORE};

/// What the package depends on, as dpkg's database has it. Nothing else is installed there, so nothing else is needed.
const INSTALLED: &str = "\
Package: systemd
Status: install ok installed
Maintainer: none
Architecture: all
Version: 252
Description: the init system
";

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Manager {
    Dpkg,
    Rpm,
}

impl Manager {
    /// The package of this version; `None`: there is none, which is printed.
    pub(super) fn artifact(self) -> Option<PathBuf> {
        match self {
            Self::Dpkg => artifacts::deb(),
            Self::Rpm => artifacts::rpm(),
        }
    }

    /// The package of the version before.
    pub(super) fn before(self) -> Option<PathBuf> {
        let name = match self {
            Self::Dpkg => artifacts::deb_name(BEFORE),
            Self::Rpm => artifacts::rpm_name(BEFORE),
        };
        artifacts::before(&format!("artifacts/{name}"))
    }

    /// Makes the database of installed packages.
    pub(super) fn prepare(self, root: &Path) {
        if self == Self::Rpm {
            fs::create_dir_all(root.join("var/lib/rpm")).unwrap();
            return;
        }
        let database = root.join("var/lib/dpkg");
        for folder in ["info", "updates", "triggers"] {
            fs::create_dir_all(database.join(folder)).unwrap();
        }
        fs::write(database.join("status"), INSTALLED).unwrap();
        fs::write(database.join("info/systemd.list"), "").unwrap();
    }

    /// The command that installs a package of the container's `/root`, or upgrades to it.
    pub(super) fn install(self, package: &Path) -> String {
        let file = Path::new("/root").join(package.file_name().unwrap());
        match self {
            Self::Dpkg => format!("dpkg --install {}", file.display()),
            // Debian's rpm asks for `--force-debian`. Its database knows none of the machine's packages.
            Self::Rpm => format!("rpm --force-debian --nodeps --upgrade {}", file.display()),
        }
    }

    /// The command that removes the package.
    pub(super) fn remove(self) -> &'static str {
        match self {
            Self::Dpkg => "dpkg --remove auditrail",
            Self::Rpm => "rpm --force-debian --erase auditrail",
        }
    }
}
