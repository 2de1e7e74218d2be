//! Traces of the agent on its node: the modes of its files and directories, the unchanged log, and the proxy variables
//! of the environment, which it ignores.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;

use crate::command::{Place, auditrail, exceeded_by_few, recorded, root};
use kit::{FakeStore, copy, tables, wait_for};

/// By name of each file: inode, owner, mode, modification time and content.
fn files(dir: &Path) -> BTreeMap<String, (u64, u32, u32, i64, Vec<u8>)> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.filter(|path| path.is_file()).map(|path| {
        let meta = fs::metadata(&path).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let content = fs::read(&path).unwrap();
        (name, (meta.ino(), meta.uid(), meta.mode(), meta.mtime(), content))
    });
    files.collect()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// Calls `each` with `path` and every directory and file below it.
pub(crate) fn below(path: &Path, each: &mut impl FnMut(&Path)) {
    each(path);
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            below(&entry.unwrap().path(), each);
        }
    }
}

/// A configuration that follows a copy of the recorded log, may make hard links, and delivers to this store, which may
/// refuse long documents.
fn holding(store: &FakeStore) -> Place {
    let place = Place::following_recorded();
    let log = place.path("log");
    copy(&root().join("etc/recorded/audit"), &log);
    place.configure("cp-1", &log.join("audit.log"), place.port);
    let text = fs::read_to_string(place.config()).unwrap();
    let text = text.replace("hold = { max_bytes = 0 }", "hold = { min_free = \"1%\" }");
    let unchanged = "[outputs.search.transform]\nredact = \"off\"\nomit_managed_fields = false\n";
    // A store on a busy machine answers late.
    let table = tables::search(&store.url, "").replace("300ms", "5s");
    fs::write(place.config(), format!("{text}\n{table}\n{unchanged}")).unwrap();
    place
}

#[test]
fn the_log_and_its_backups_are_the_same_files_after_a_run_as_before() {
    let store = FakeStore::new();
    let place = holding(&store);
    let log = place.path("log");
    fs::write(log.join("notes.txt"), "not the agent's").unwrap();
    let before = files(&log);
    assert!(before.len() > 3);
    let running = place.start();
    place.wait_for_bytes(recorded().len());
    assert!(running.end(Signal::TERM).0.success());
    assert!(files(&log) == before, "a file was changed, added or removed beside the log");
    let folders: Vec<_> = fs::read_dir(&log)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    assert_eq!(folders, [log.join(".auditrail-hold")]);
    assert_eq!(mode(&folders[0]), 0o700);
}

#[test]
fn the_state_directory_and_all_that_is_in_it_are_for_the_agent_s_user_alone() {
    let store = FakeStore::refusing_longer(exceeded_by_few());
    let place = holding(&store);
    let running = place.start();
    wait_for("a dead letter and a checkpoint", Duration::from_secs(30), || {
        let state = place.state_dir();
        let there = state.join("checkpoint.json").is_file() && state.join("dead-letters").is_dir();
        if there { Ok(()) } else { Err(kit::listing(&state)) }
    });
    let (mut folders, mut others) = (0, 0);
    below(&place.state_dir(), &mut |path| {
        let wanted = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode(path), wanted, "{}", path.display());
        if path.is_dir() { folders += 1 } else { others += 1 }
    });
    assert!(folders >= 3 && others >= 4, "{folders} folders, {others} files");
    drop(running);
}

#[test]
fn no_proxy_is_taken_from_the_environment() {
    let store = FakeStore::new();
    let place = holding(&store);
    let dead_end = "http://127.0.0.1:9";
    let mut command = auditrail();
    for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]
    {
        command.env(name, dead_end);
    }
    let mut child = command.args(["run", "-c"]).arg(place.config()).spawn().unwrap();
    wait_for("the store to be reached", Duration::from_secs(30), || {
        let stored = store.state().stored.len();
        if stored > 0 { Ok(()) } else { Err(format!("{stored} documents")) }
    });
    child.kill().unwrap();
    child.wait().unwrap();
}
