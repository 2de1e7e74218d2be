//! State directories that the agent cannot use as they are: of another user or version, damaged, incomplete, open to
//! other users, or with a forged checkpoint.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::process::CommandExt as _;

use rustix::process::{Signal, geteuid};

use crate::command::{Place, auditrail, finish, recorded};

/// A configuration whose agent has delivered the whole log and shut down cleanly.
fn delivered() -> Place {
    let place = Place::following_recorded();
    go_on(&place);
    place
}

/// Starts the agent again and checks that the output has every event exactly once. Returns the agent's standard error.
fn go_on(place: &Place) -> String {
    let running = place.start();
    place.wait_for_bytes(recorded().len());
    let (status, said) = running.end(Signal::TERM);
    assert!(status.success(), "{said}");
    assert!(fs::read(place.out()).unwrap() == recorded(), "the bytes are not those recorded");
    said
}

#[test]
fn a_checkpoint_of_a_newer_version_is_left_alone_and_the_way_out_is_named() {
    let place = delivered();
    let path = place.state_dir().join("checkpoint.json");
    // A checkpoint as `format.rs` frames it: the checksum covers the version too.
    let body = "{\"later\":true}";
    let mut crc32 = crc32fast::Hasher::new();
    crc32.update(&7_u32.to_le_bytes());
    crc32.update(body.as_bytes());
    let crc32 = crc32.finalize();
    let file =
        format!("{{\"version\":7,\"length\":{},\"crc32\":\"{crc32:08x}\"}}\n{body}\n", body.len());
    fs::write(&path, &file).unwrap();
    let ran = place.ask(&["run"]).expect(2);
    assert!(ran.stderr.contains("written by a newer auditrail (version 7)"), "{}", ran.stderr);
    assert_eq!(fs::read_to_string(&path).unwrap(), file);
}

#[test]
fn a_damaged_checkpoint_is_said_and_the_one_before_is_used() {
    let place = delivered();
    let path = place.state_dir().join("checkpoint.json");
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).unwrap();
    let said = go_on(&place);
    assert!(said.contains("the last checkpoint is unusable"), "{said}");
}

#[test]
fn without_any_usable_checkpoint_a_file_output_keeps_what_it_has_and_all_is_read_again() {
    let place = delivered();
    for name in ["checkpoint.json", "checkpoint.json.previous"] {
        fs::write(place.state_dir().join(name), "junk").unwrap();
    }
    let running = place.start();
    // Without a checkpoint the agent cannot truncate the file either. It prefers duplicates to a loss.
    place.wait_for_bytes(2 * recorded().len());
    let (status, said) = running.end(Signal::TERM);
    assert!(status.success() && said.contains("no checkpoint is usable"), "{said}");
    assert!(fs::read(place.out()).unwrap() == recorded().repeat(2));
}

#[test]
fn a_state_directory_of_another_user_is_refused_with_the_way_out() {
    let place = delivered();
    // Root may read everything, so run the command as another user (65534).
    let (mut command, mode) = (auditrail(), if geteuid().is_root() { 0o700 } else { 0o500 });
    let binary = place.path("auditrail");
    fs::copy(command.get_program(), &binary).unwrap();
    if geteuid().is_root() {
        command = std::process::Command::new(&binary);
        command.current_dir("/").uid(65_534).gid(65_534);
        fs::set_permissions(place.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    } else {
        fs::set_permissions(place.state_dir().join("lock"), fs::Permissions::from_mode(0o000))
            .unwrap();
    }
    fs::set_permissions(place.state_dir(), fs::Permissions::from_mode(mode)).unwrap();
    let ran = finish(command.args(["run", "-c"]).arg(place.config())).expect(1);
    assert!(ran.stderr.contains("by the agent's user"), "{}", ran.stderr);
    assert!(ran.stderr.contains("Permission denied"), "{}", ran.stderr);
}

#[test]
fn an_agent_without_any_right_to_write_its_state_says_where_it_may_not() {
    let place = Place::following_recorded();
    // The state directory is a file, below which not even root can create anything.
    fs::write(place.state_dir(), "").unwrap();
    let ran = place.ask(&["run"]).expect(1);
    assert!(ran.stderr.contains("cannot create the state directory"), "{}", ran.stderr);
    assert!(ran.stderr.contains(place.state_dir().to_str().unwrap()), "{}", ran.stderr);
}

fn set_mode(path: &std::path::Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &std::path::Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

#[test]
fn a_state_directory_that_kubelet_made_is_closed_to_other_users_and_check_says_so_before() {
    let place = delivered();
    let (state, letters) = (place.state_dir(), place.state_dir().join("dead-letters"));
    fs::create_dir_all(&letters).unwrap();
    for path in [&state, &letters] {
        set_mode(path, 0o755);
    }
    set_mode(&state.join("lock"), 0o644);
    let checked = place.ask(&["check"]);
    for path in [&state, &letters, &state.join("lock")] {
        let said = format!("other users may use {}", path.display());
        assert!(checked.stdout.contains(&said), "{said}: {}", checked.stdout);
        assert_ne!(mode(path) & 0o077, 0, "check changes nothing");
    }
    let said = go_on(&place);
    assert!(said.contains("other users could enter the state directory"), "{said}");
    assert_eq!(
        [&state, &letters, &state.join("lock")].map(|path| mode(path)),
        [0o700, 0o700, 0o600]
    );
}

#[test]
fn links_that_another_user_planted_are_not_written_through() {
    let place = Place::following_recorded();
    let (state, victim) = (place.state_dir(), place.path("victim"));
    fs::create_dir(&state).unwrap();
    fs::write(&victim, "precious").unwrap();
    for name in ["checkpoint.json.new", "node.key.new", "lock"] {
        symlink(&victim, state.join(name)).unwrap();
    }
    let ran = place.ask(&["run"]).expect(2);
    assert!(ran.stderr.contains("lock: it is a symbolic link"), "{}", ran.stderr);
    let checked = place.ask(&["check"]);
    assert!(checked.stdout.contains("lock: it is a symbolic link"), "{}", checked.stdout);
    fs::remove_file(state.join("lock")).unwrap();
    go_on(&place);
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    assert!(!fs::symlink_metadata(state.join("node.key")).unwrap().is_symlink());
}

#[test]
fn a_key_that_others_may_have_changed_is_refused_and_one_that_they_could_read_is_said() {
    let place = delivered();
    let key = place.state_dir().join("node.key");
    set_mode(&key, 0o666);
    for command in ["run", "check"] {
        let ran = place.ask(&[command]);
        let said = ran.stderr + &ran.stdout;
        assert!(said.contains("others may write to it (mode 0666)"), "{command}: {said}");
    }
    place.ask(&["run"]).expect(2);
    set_mode(&key, 0o644);
    let checked = place.ask(&["check"]);
    assert!(
        checked.stdout.contains("other users can read the node's secret"),
        "{}",
        checked.stdout
    );
    let said = go_on(&place);
    assert!(said.contains("other users could read the node's secret"), "{said}");
    assert_eq!(mode(&key), 0o600);
}

/// Changes every offset in a checkpoint, as an attacker can who knows the format but not the key.
fn move_cursors(path: &std::path::Path) {
    let text = fs::read_to_string(path).unwrap();
    let (head, body) = text.trim_end().split_once('\n').unwrap();
    let body = body.replace("\"offset\":", "\"offset\":9");
    let mut crc32 = crc32fast::Hasher::new();
    crc32.update(&1_u32.to_le_bytes());
    crc32.update(body.as_bytes());
    let mut head: serde_json::Value = serde_json::from_str(head).unwrap();
    head["length"] = body.len().into();
    head["crc32"] = format!("{:08x}", crc32.finalize()).into();
    fs::write(path, format!("{head}\n{body}\n")).unwrap();
}

#[test]
fn a_cursor_that_somebody_moved_passes_over_no_event_and_shows() {
    let place = delivered();
    let checkpoint = place.state_dir().join("checkpoint.json");
    move_cursors(&checkpoint);
    let checked = place.ask(&["check"]);
    assert!(checked.stdout.contains("a checkpoint failed authentication"), "{}", checked.stdout);
    let status = place.ask(&["status"]);
    let said = &status.stdout;
    assert!(
        said.contains("\n  ! checkpoint: one failed authentication and was not used (/"),
        "{said}"
    );
    assert!(!said.contains("cannot be saved"), "{said}");
    // The running agent shows it above the tables, and /readyz warns of it.
    let running = place.start();
    let said = place.ask(&["status"]).expect(0).stdout;
    let remark = said.find("\n  ! checkpoint: one failed").unwrap();
    assert!(remark < said.find("\nINPUT ").unwrap(), "{said}");
    let ready = kit::http::get(&place.url("/readyz?verbose")).unwrap().text();
    assert!(ready.contains("a checkpoint failed authentication when the agent"), "{ready}");
    assert!(running.stop().success());
    move_cursors(&checkpoint);
    let said = go_on(&place);
    assert!(said.contains("a checkpoint failed authentication and is not used"), "{said}");
    // The checkpoint that this run wrote is authentic again.
    let said = go_on(&place);
    assert!(!said.contains("failed authentication"), "{said}");
}
