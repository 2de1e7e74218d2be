//! `start_at`: where an output without a checkpoint starts.

use std::time::Duration;

use super::play::{LIMITS, Play, nanos};
use crate::config::StartAt;

/// Plays a script after two backups (one compressed, with `a` and `b`; one with `c`) and a live log with `d` and half
/// of `e`.
fn play(start_at: StartAt, script: &str) -> String {
    let mut play = Play::new(LIMITS, start_at);
    play.script("append a b | rotate | gzip | append c | rotate | append d e- ");
    play.script(script)
}

#[test]
fn each_form_of_start_at_begins_where_it_says() {
    let script = "read | append -e f | rotate | append g | read | wait 3 | restart | read";
    assert_eq!(play(StartAt::Beginning, script), "a b c d | e f g | ");
    assert_eq!(play(StartAt::CurrentFile, script), "d | e f g | ");
    assert_eq!(play(StartAt::End, script), " | e f g | ");
    assert_eq!(play(StartAt::Age(Duration::from_mins(1)), script), " |  | ");
    assert_eq!(play(StartAt::Age(Duration::from_mins(10)), script), "a b c d | e f g | ");
}

#[test]
fn a_restart_before_the_first_event_begins_where_the_first_start_did() {
    assert_eq!(play(StartAt::End, "read | append -e | restart | read"), " | e");
}

#[test]
fn a_log_that_did_not_exist_at_the_first_start_is_read_whole() {
    for start_at in [StartAt::CurrentFile, StartAt::End] {
        let mut play = Play::new(LIMITS, start_at);
        assert_eq!(play.script("read | append a | read | rotate | append b | read"), " | a | b");
    }
}

/// Every event of the scripts has the time 06:25:22.6; this process started at 06:30.
#[test]
fn only_bytes_that_an_earlier_process_can_have_seen_are_said_to_have_existed() {
    let mut play = Play::new(LIMITS, StartAt::Beginning);
    play.script("append a b | rotate | gzip | append c | look");
    play.started = nanos("2026-11-21T06:20:00.000000Z");
    play.restart();
    play.script("read | append d | rotate | append e");
    let existed = play.existed();
    let line = super::server::event("a", 0).len() as u64 + 1;
    assert_eq!(existed, [("a b".into(), u64::MAX), ("c".into(), line)]);
    assert_eq!(play.script("read"), "d e");
    assert_eq!(play.existed()[2..], [("d".into(), line), ("e".into(), 0)]);
}

/// The file existed but was not visible at the first look: its first event decides whether it is new.
#[test]
fn a_generation_that_comes_to_light_late_is_new_only_if_its_first_event_is() {
    let mut play = Play::new(LIMITS, StartAt::Beginning);
    play.script("append a | read | put 1 b | read");
    assert_eq!(play.existed()[1], ("b".into(), u64::MAX));
}
