//! Rotation by other programs than the server, unusual clocks and paths, and the ways in which other agents lose
//! events.

use super::check;
use super::play::{LIMITS, Play};
use crate::config::StartAt;

/// copytruncate: the server keeps its offset, so its next write leaves a hole as long as the old log.
#[test]
fn copytruncate_loses_and_doubles_nothing_that_was_copied() {
    check("append a b c | read 1 | copytruncate | append d | read", "a | b c hole:636 d");
    check(
        "append a b | read | copytruncate | append c | read | wait 3 | read",
        "a b | hole:424 c | ",
    );
    let restarted = "append a b c | read 1 | copytruncate | reopen | append d | restart | read";
    check(restarted, "a | b c d");
}

/// Lines written between the copy and the truncation are in no file any more, but they had been read.
#[test]
fn a_copy_that_is_shorter_than_what_was_read_is_not_read_again() {
    let script = "append a b | copy live audit.log.1 | append c | read | put live | reopen | append d | read | \
                  wait 3 | read | read";
    check(script, "a b c | d |  | ");
}

/// The copy is compressed before the next look.
#[test]
fn a_compressed_copy_of_the_log_is_read_on() {
    let mut play = Play::new(LIMITS, StartAt::Beginning);
    assert_eq!(play.script("append a b c | read 1"), "a");
    let copy = kit::log_writer::gzip(&std::fs::read(play.path("live")).unwrap());
    std::fs::write(play.path("audit.log.1.gz"), copy).unwrap();
    assert_eq!(play.script("put live | reopen | append d | read"), "b c d");
}

#[test]
fn numbered_backups_that_move_up_stay_what_they_are() {
    let script = "append a | logrotate | reopen | append b | logrotate | reopen | append c | read 1 | \
                  logrotate | reopen | append d | read";
    check(script, "a | b c d");
    let at_rest = "append a b | logrotate | reopen | append c | read | wait 3 | read | logrotate | restart | read | \
                   wait 3 | read";
    check(at_rest, "a b c |  |  | ");
}

/// Between look and opening, the path of a backup that is not held open passes to another file.
#[test]
fn a_name_that_became_anothers_is_not_read_under_the_wrong_identity() {
    let mut play = Play::new(LIMITS, StartAt::Beginning);
    play.script("append a b | logrotate | reopen | append c d | logrotate");
    for name in ["audit.log.1", "audit.log.2"] {
        let plain = std::fs::read(play.path(name)).unwrap();
        std::fs::write(play.path(&format!("{name}.gz")), kit::log_writer::gzip(&plain)).unwrap();
        std::fs::remove_file(play.path(name)).unwrap();
    }
    assert_eq!(play.script("read 1"), "a");
    // Moved while the reader still has the old view.
    play.without_look(|play| {
        play.script(
            "restart | move audit.log.2.gz audit.log.3.gz | move audit.log.1.gz audit.log.2.gz",
        );
    });
    assert_eq!(play.script("read"), "b c d");
}

#[test]
fn rotations_within_one_millisecond_lose_nothing_that_was_seen() {
    check(
        "append a | rotate 5 | append b | rotate 6 | append c | rotate 7 | append d | read",
        "a b c d",
    );
    check("append a | look | rotate 5 | append b | look | rotate 5 | append c | read", "a b c");
}

#[test]
fn a_backup_with_an_older_stamp_than_finished_ones_is_read() {
    let script = "append a | rotate 9 | append b | read | wait 3 | read | append c | rotate 2 | append d | read | \
                  gzip 2 | wait 3 | restart | read";
    check(script, "a b |  | c d | ");
    check(
        "append a | rotate 9 | read | wait 3 | restart | append b | rotate 2 | append c | read",
        "a | b c",
    );
}

/// Other agents never open new files during an outage.
#[test]
fn files_that_come_and_go_while_nobody_reads_are_found() {
    let script = "append a | look | rotate | append b | look | rotate | look | gzip 1 | append c | look | delete 2 | \
                  look | rotate | gzip 3 | append d | read";
    check(script, "a b c d");
}

/// Other agents read a rotated gz twice, or never read its unread tail after a restart.
#[test]
fn a_backup_that_is_compressed_and_restarted_upon_is_read_once() {
    check(
        "append a b c | read 1 | rotate | restart | read 1 | gzip | restart | read | restart | read",
        "a | b | c | ",
    );
}

/// Other agents drop a descriptor when the link count reaches 0.
#[test]
fn a_deleted_log_is_read_until_the_server_has_another() {
    let script = "append a | read | delete live | append b | read | wait 9 | append c | read | reopen | append d | \
                  read | wait 3 | read";
    check(script, "a | b | c | d | ");
}

/// Other agents never notice that somebody deleted the live file.
#[test]
fn a_log_that_was_deleted_or_moved_away_is_noticed() {
    for gone in ["delete live", "move live elsewhere"] {
        let mut play = Play::new(LIMITS, StartAt::Beginning);
        play.script("append a | read | rotate | append b | read");
        assert!(!play.moved);
        play.script(&format!("{gone} | read"));
        assert!(play.moved, "{gone}");
        play.script("reopen | append c | read");
        assert!(!play.moved, "{gone}");
    }
}

/// Other agents lose data by inode reuse, or never read files under 1 KiB.
#[test]
fn small_files_on_reused_inodes_are_read() {
    let script = "append a | rotate | read | wait 3 | read | delete 1 | append b | rotate | append c | read | \
                  wait 3 | read | delete 2 | look | put 3 d | read";
    check(script, "a |  | b c |  | d");
}

#[test]
fn a_live_log_behind_a_link_is_read_and_rotated() {
    let mut play = Play::new(LIMITS, StartAt::Beginning);
    std::fs::write(play.path("elsewhere"), "").unwrap();
    std::os::unix::fs::symlink(play.path("elsewhere"), play.path("live")).unwrap();
    assert_eq!(play.script("append a b | read 1 | rotate | append c | read"), "a | b c");
}

/// State 23, everything at once: other inodes, other times, the same bytes.
#[test]
fn a_restored_directory_is_read_on() {
    let mut play = Play::new(LIMITS, StartAt::Beginning);
    assert_eq!(
        play.script("append a b | rotate | gzip | append c d | rotate | append e | read 3"),
        "a b"
    );
    assert_eq!(play.script("read 1"), "c");
    let audit = play.path("live").parent().unwrap().to_owned();
    let old = audit.with_file_name("old");
    std::fs::rename(&audit, &old).unwrap();
    play.look();
    std::fs::create_dir(&audit).unwrap();
    for entry in std::fs::read_dir(&old).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), audit.join(entry.file_name())).unwrap();
    }
    assert_eq!(play.script("read"), "d e");
    assert_eq!(play.script("restart | read | wait 3 | read"), " | ");
}

/// The content decides: a copy of a finished backup, under a valid backup name, is a duplicate and not read.
#[test]
fn a_second_copy_of_a_backup_is_not_read() {
    check(
        "append a b | rotate | copy 1 7 | append c | read | wait 3 | read | gzip 1 | read",
        "a b c |  | ",
    );
}
