//! A state directory that resists: not ours, of another version, damaged, gone in part.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;

use rustix::process::{Signal, geteuid};

use crate::command::{Place, auditrail, finish, recorded};

/// Everything delivered, and ended well.
fn delivered() -> Place {
    let place = Place::following_recorded();
    go_on(&place);
    place
}

/// Starts again, and finds that all is there once.
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
    // As `format.rs` frames it: the checksum covers the version too.
    let body = "{\"later\":true}";
    let mut crc32 = crc32fast::Hasher::new();
    crc32.update(&7_u32.to_le_bytes());
    crc32.update(body.as_bytes());
    let crc32 = crc32.finalize();
    let file =
        format!("{{\"version\":7,\"length\":{},\"crc32\":\"{crc32:08x}\"}}\n{body}\n", body.len());
    fs::write(&path, &file).unwrap();
    let ran = place.ask(&["run"]).expect(1);
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
    // Nothing is known of the file either: repeats are harmless, a loss is not.
    place.wait_for_bytes(2 * recorded().len());
    let (status, said) = running.end(Signal::TERM);
    assert!(status.success() && said.contains("no checkpoint is usable"), "{said}");
    assert!(fs::read(place.out()).unwrap() == recorded().repeat(2));
}

#[test]
fn a_state_directory_of_another_user_is_refused_with_the_way_out() {
    let place = delivered();
    // Root may do anything, so somebody else is sent.
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
    // Nothing can be made below a file, whoever asks.
    fs::write(place.state_dir(), "").unwrap();
    let ran = place.ask(&["run"]).expect(1);
    assert!(ran.stderr.contains("cannot create the state directory"), "{}", ran.stderr);
    assert!(ran.stderr.contains(place.state_dir().to_str().unwrap()), "{}", ran.stderr);
}
