//! Files that were deleted before they were read: the gap has their name, their bytes, and the times before and after
//! it.

use super::check;
use super::play::{LIMITS, Play, nanos};
use crate::config::StartAt;

const FIRST: &str = "2026-11-21T06:25:22.612771Z";

/// A gap: file, offset, bytes, at least, seconds from, seconds to.
pub(super) type GapSummary = (String, u64, u64, bool, Option<i64>, Option<i64>);

/// Plays a script; returns the reported gaps, with times relative to the first event.
fn gaps(script: &str) -> Vec<GapSummary> {
    let mut play = Play::new(LIMITS, StartAt::Beginning);
    play.script(script);
    told(&play)
}

/// The reported gaps of a play, with times relative to the first event.
pub(super) fn told(play: &Play) -> Vec<GapSummary> {
    let seconds = |time: i64| (time - nanos(FIRST)) / 1_000_000_000;
    let told = play.gaps.iter().map(|gap| {
        let (from, to) = (gap.from.map(seconds), gap.to.map(seconds));
        (gap.file.to_string(), gap.offset, gap.bytes, gap.at_least, from, to)
    });
    told.collect()
}

fn backup(stamp: u32) -> String {
    format!("audit-2026-11-21T06-28-00.{stamp:03}.log")
}

/// State 15: the files were closed when last seen, so the reported bytes are exact.
#[test]
fn backups_deleted_while_nobody_ran_are_told_with_their_names_and_all_their_bytes() {
    let script = "append a b@1 c@2 | read 1 | rotate | append d@3 e@4 | rotate | append f@5 | look | wait 3 | \
                  restart | delete 1 | delete 2 | read | wait 4 | read | read | restart | wait 4 | read";
    let expected = [
        (backup(1), 212, 424, false, Some(0), Some(3)),
        (backup(2), 0, 424, false, Some(3), Some(5)),
    ];
    assert_eq!(gaps(script), expected);
    check(script, "a | f | backup_gone:424 backup_gone:424 |  | ");
}

/// The same after compression: it does not make the length less certain.
#[test]
fn a_compressed_backup_deleted_while_nobody_ran_is_told_with_what_it_held() {
    let script = "append a b@1 c@2 | read 1 | rotate | append d@3 | look | wait 3 | gzip 1 | look | restart | \
                  delete audit-2026-11-21T06-28-00.001.log.gz | read | wait 4 | read";
    assert_eq!(gaps(script), [(format!("{}.gz", backup(1)), 212, 424, false, Some(0), Some(3))]);
}

/// State 15: rotated and deleted while no agent was running; nobody knows how much more it held.
#[test]
fn a_log_that_was_live_and_is_gone_is_told_with_what_was_seen_of_it_at_least() {
    let unread = "append a b@1 c@2 | read 1 | look | restart | append d@3 | rotate | append e@4 | delete 1 | \
                  read | wait 4 | read";
    assert_eq!(gaps(unread), [("audit.log".into(), 212, 424, true, Some(0), Some(4))]);
    // All bytes seen of it were read: the gap reaches to the first event that is still there.
    let read = "append a b@1 | read | restart | append c@2 | rotate | append d@3 | rotate | append e@4 | \
                delete 1 | delete 2 | read | wait 4 | read | restart | wait 4 | read";
    assert_eq!(gaps(read), [("audit.log".into(), 424, 0, true, Some(1), Some(4))]);
    check(read, "a b | e | backup_gone:0 | ");
}

#[test]
fn a_gap_that_was_not_acknowledged_is_told_again_and_an_acknowledged_one_is_not() {
    let script = "append a b | read 1 | rotate | append c | read 1 | wait 3 | restart | delete 1 | wait 4 | peek | \
                  restart | wait 4 | read | restart | wait 4 | read";
    let expected = "a | b | c | c | ";
    check(script, expected);
    let script = "append a b | read 1 | rotate | append c | look | wait 3 | restart | delete 1 | look | wait 4 | peek | \
                  wait 4 | peek | restart | look | wait 4 | read | wait 4 | read | restart | wait 4 | read";
    check(script, "a | c | backup_gone:212 | c | backup_gone:212 | ");
}

#[test]
fn what_was_gone_before_an_output_was_there_is_no_loss_to_it() {
    let mut play = Play::new(LIMITS, StartAt::Beginning);
    play.script("append a | look | rotate | append b | look | wait 3");
    // Another output has read none of it.
    assert_eq!(play.script("restart | delete 1 | read | wait 4 | read"), "b | ");
    assert_eq!(play.script("restart | wait 4 | read"), "");
}

#[test]
fn what_was_read_and_acknowledged_is_forgotten_once_it_is_gone() {
    let mut play = Play::new(LIMITS, StartAt::Beginning);
    play.script("append a | read | rotate | append b | wait 3 | read | restart | delete 1 | read");
    assert_eq!(play.script("wait 4 | read | restart | wait 4 | read"), " | ");
    assert_eq!(play.known(), ["audit.log"]);
}

/// The directory is empty until its file system is mounted.
#[test]
fn nothing_is_given_up_as_long_as_there_is_no_log_at_all() {
    let script = "append a b | read 1 | rotate | append c | look | wait 3 | restart | move 1 away | move live gone | \
                  read | wait 60 | read | move away 1 | move gone live | read | wait 60 | read";
    check(script, "a |  |  | b c | ");
}

/// State 24: a file may be unreadable for a while. The test uses a loop of links, because root can read any file.
#[test]
fn a_backup_that_cannot_be_read_for_a_while_is_waited_for() {
    let mut play = Play::new(LIMITS, StartAt::Beginning);
    assert_eq!(
        play.script("append a b | read 1 | rotate | append c | look | wait 3 | restart"),
        "a"
    );
    play.allow_reading("1", false);
    assert_eq!(play.script("read | wait 60 | read"), "c | ");
    assert_eq!(play.unreadable, [play.path("1")]);
    play.allow_reading("1", true);
    assert_eq!(play.script("read | wait 4 | read"), "b | ");
}

/// State 19, while no agent was running: the clock was set back, and a backup took the name of another.
#[test]
fn a_backup_replaced_by_another_of_its_name_is_a_gap_if_it_was_not_read() {
    let script = "append a b@1 | read 1 | rotate 1 | append c@2 | look | wait 3 | restart | rotate 1 | append d@3 | \
                  read | wait 4 | read | restart | wait 4 | read";
    assert_eq!(gaps(script), [(backup(1), 212, 212, false, Some(0), Some(2))]);
    check(script, "a | c d | backup_gone:212 | ");
    let read = "append a b | read | rotate 1 | append c | wait 3 | read | restart | rotate 1 | append d | read | \
                wait 4 | read";
    check(read, "a b | c | d | ");
}

/// The server keeps writing to a file without a name, and the agent that followed it is gone.
#[test]
fn a_log_deleted_under_its_server_is_a_gap_after_a_restart() {
    let script = "append a b@1 | read 1 | delete live | append c@2 | restart | read | reopen | append d@3 | read | \
                  wait 4 | read";
    assert_eq!(gaps(script), [("audit.log".into(), 212, 212, true, Some(0), Some(3))]);
    check(script, "a |  | d | backup_gone:212");
}

/// State 15: somebody deleted the successor of a backup that still exists.
#[test]
fn generations_that_came_and_went_unseen_leave_a_hole_that_is_told_once() {
    let script = "append a b@1 | read | restart | append c@2 | rotate 1 | append d@150 | rotate 2 | append e@200 | \
                  delete 2 | read | wait 3 | read | wait 4 | read | restart | wait 3 | read";
    assert_eq!(gaps(script), [(backup(1), 636, 0, true, Some(2), Some(200))]);
    check(script, "a b | c e |  | backup_gone:0 | ");
}

/// The next file begins with the write that renamed the last one.
#[test]
fn a_server_that_was_idle_before_it_rotated_left_no_hole() {
    let script = "append a b@1 | read | restart | rotate 1 | append c@157 | rotate 2 | append d@160 | read | wait 3 | \
                  read";
    check(script, "a b | c d | ");
}

/// Also after a restart, when an earlier process had read the last of those files completely or half.
#[test]
fn what_was_missing_between_files_before_an_output_was_there_is_no_loss_to_it() {
    let before = "append a b@1 | rotate 1 | append c@500";
    check(
        &format!("{before} | read | wait 3 | read | restart | wait 4 | read | wait 4 | read"),
        "a b c |  |  | ",
    );
    check(
        &format!("{before} | read 1 | wait 3 | restart | read | wait 4 | read | wait 4 | read"),
        "a | b c |  | ",
    );
}
