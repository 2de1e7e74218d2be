//! Tells the program from which commit and for which target it is built; `auditrail --version` prints both.
//!
//! The commit comes from Git, or, in an archive of the sources, from the file in which Git left it. A debug build does
//! not ask: it would be built anew after every commit.

use std::path::Path;
use std::process::Command;
use std::{env, fs};

/// `git archive` writes the commit into it (`.gitattributes`).
const ARCHIVED: &str = "etc/release/commit";
/// `cargo package` writes the commit into it.
const PACKAGED: &str = ".cargo_vcs_info.json";
/// Everything that changes the program. A change of one of these makes Cargo run this script again.
const SOURCES: &[&str] =
    &["build.rs", "Cargo.lock", "Cargo.toml", "events", "etc", "src", "systemd"];

fn main() {
    for path in SOURCES.iter().filter(|path| Path::new(path).try_exists().unwrap_or(false)) {
        println!("cargo::rerun-if-changed={path}");
    }
    let release = env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let commit =
        if release { from_git().or_else(from_archive).or_else(from_package) } else { None };
    println!("cargo::rustc-env=AUDITRAIL_COMMIT={}", commit.as_deref().unwrap_or("unknown"));
    println!("cargo::rustc-env=AUDITRAIL_TARGET={}", env::var("TARGET").unwrap_or_default());
}

/// The commit of the working tree, marked if the tree differs from it.
fn from_git() -> Option<String> {
    // Without this, an archive that is unpacked below another repository would name that one's commit.
    if !Path::new(".git").try_exists().unwrap_or(false) {
        return None;
    }
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]) {
        println!("cargo::rerun-if-changed={log}");
    }
    let commit = short(&git(&["rev-parse", "HEAD"])?)?;
    let changed = git(&["status", "--porcelain", "--untracked-files=no"])?;
    Some(if changed.is_empty() { commit } else { commit + "-modified" })
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

fn from_archive() -> Option<String> {
    short(fs::read_to_string(ARCHIVED).ok()?.trim())
}

fn from_package() -> Option<String> {
    let text = fs::read_to_string(PACKAGED).ok()?;
    short(text.split("\"sha1\": \"").nth(1)?)
}

/// The first twelve digits of a commit's hash.
fn short(hash: &str) -> Option<String> {
    hash.get(..12)
        .filter(|start| start.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .map(str::to_owned)
}
