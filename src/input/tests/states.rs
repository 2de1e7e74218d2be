//! The states of a log on disk, numbered as in section 3.2 of the Kubernetes reference. `table.rs` lists all their
//! tests.

use super::check;

/// State 1.
#[test]
fn a_log_that_is_not_there_is_waited_for_and_not_made() {
    check("read | look | append a | read", " | a");
    let mut play = super::play::Play::new(super::play::LIMITS, crate::config::StartAt::Beginning);
    play.script("read | read");
    assert!(!play.path("live").try_exists().unwrap());
}

/// State 1.
#[test]
fn the_moment_without_a_live_file_in_a_rotation_loses_nothing() {
    check("append a b | read 1 | move live 1 | read | put live c | read", "a | b | c");
}

/// State 2.
#[test]
fn an_empty_log_is_read_from_its_first_event() {
    check("put live | read | append a | read", " | a");
}

/// State 3.
#[test]
fn a_growing_log_is_read_line_by_line() {
    check("append a b | read | append c | read | read", "a b | c | ");
}

/// State 4.
#[test]
fn an_unfinished_line_is_held_back_until_it_is_finished() {
    check("append a b- | read | wait 60 | read | append -b c | read", "a |  | b c");
    check("append a b- | read | restart | read | append -b | read", "a |  | b");
    check("append a- | read | append -a | read", " | a");
}

/// State 5.
#[test]
fn a_line_that_a_rotation_left_unfinished_is_shipped_as_damaged_once_nobody_writes_any_more() {
    check("append a b- | rotate | append c | read | wait 3 | read | wait 3 | read", "a c | ~b | ");
    check("append a b. | rotate | read | wait 3 | read", "a | b");
}

/// State 6.
#[test]
fn an_event_glued_to_a_torn_one_is_delivered() {
    check("append a b- c d | read", "a ~b c d");
}

/// State 7.
#[test]
fn a_hole_is_passed_over_and_said() {
    check("append 0*5000000 a 0*7 b | read", "hole:5000007 a b");
    check("append a 0*9 | read | append b | read", "hole:9 a | b");
}

/// State 8.
#[test]
fn the_rest_of_a_rotated_log_is_read_before_the_new_one() {
    check("append a b c | read 1 | rotate | append d | read", "a | b c d");
    check("append a | read | append b | rotate | append c | rotate | append d | read", "a | b c d");
}

/// State 8: another server keeps writing to the backup.
#[test]
fn what_a_second_writer_appends_to_a_backup_is_read() {
    let script = "append a | read | logrotate | append b | read | wait 3 | read | append c | read | \
                  look | wait 3 | read | append d | read";
    check(script, "a | b |  | c |  | d");
}

/// State 8: and somebody deletes the backup while that server writes to it.
#[test]
fn a_backup_deleted_under_a_second_server_is_followed() {
    let script = "append a | read | logrotate | append b | look | delete audit.log.1 | append c | read | wait 1 | \
                  append d | read";
    check(script, "a | b c | d");
}

/// State 9.
#[test]
fn several_backups_are_read_oldest_first() {
    check("append a | rotate | append b | rotate | append c | rotate | append d | read", "a b c d");
    check(
        "append a | rotate | append b | rotate | gzip 1 | append c | rotate | append d | read",
        "a b c d",
    );
}

/// State 10.
#[test]
fn a_gzip_beside_its_backup_is_not_read() {
    check("append a b | rotate | gzip-begun | append c | read | wait 3 | read", "a b c | ");
    check("append a b | rotate | gzip-beside | append c | read | wait 3 | read", "a b c | ");
    check(
        "append a b c | read 1 | rotate | gzip-begun | read 1 | gzip | restart | read",
        "a | b | c",
    );
}

/// State 11.
#[test]
fn gzip_of_a_half_read_backup_resumes_at_the_first_unread_event() {
    check("append a b c | read 2 | rotate | gzip | read", "a b | c");
    check("append a b c | read 2 | rotate | gzip | restart | read", "a b | c");
    check("append a b c | peek 2 | rotate | gzip | restart | read", "a b | a b c");
    check("append a b | rotate | gzip | read | restart | read", "a b | ");
}

/// State 12.
#[test]
fn a_damaged_backup_gives_its_whole_lines_and_the_loss_is_said_once() {
    let script = "append a b c | rotate | gzip | cut audit-2026-11-21T06-28-00.001.log.gz 2 | read | \
                  wait 11 | read | read | restart | read";
    check(script, "a b c | damaged_gzip:0 |  | ");
}

/// State 12.
#[test]
fn an_empty_backup_is_a_loss_that_is_said_once() {
    let script = "put audit-2026-11-21T06-28-00.001.log.gz | append a | read | wait 11 | read | \
                  restart | wait 11 | read";
    check(script, "a | damaged_gzip:0 | ");
}

/// State 12: a copy that is still being written is waited for.
#[test]
fn a_backup_that_is_still_being_copied_is_not_taken_for_damaged() {
    let name = "audit-2026-11-21T06-28-00.001.log.gz";
    let mut play = super::play::Play::new(super::play::LIMITS, crate::config::StartAt::Beginning);
    let log: String =
        (0..500).map(|n| super::server::event(&n.to_string(), n * 7) + "\n").collect();
    let gz = kit::log_writer::gzip(log.as_bytes());
    let mut words = String::new();
    for part in [0, gz.len() / 3, gz.len() / 2, gz.len()] {
        std::fs::write(play.path(name), &gz[..part]).unwrap();
        words = format!("{words} {}", play.script("wait 2 | read"));
    }
    let expected: Vec<_> = (0..500).map(|n| n.to_string()).collect();
    assert_eq!(words.split_whitespace().collect::<Vec<_>>(), expected);
}

/// State 13.
#[test]
fn a_backup_that_vanishes_before_its_gzip_can_be_read_is_waited_for() {
    let script = "append a b c | read 1 | rotate | restart | move 1 away | read | \
                  move away 1 | gzip | read";
    check(script, "a |  | b c");
}

/// State 14.
#[test]
fn a_deleted_backup_is_read_to_its_end() {
    check("append a b c | read 1 | rotate | look | delete 1 | read | wait 3 | read", "a | b c | ");
    let gz = "audit-2026-11-21T06-28-00.001.log.gz";
    check(&format!("append a b c | rotate | gzip | read 1 | delete {gz} | read"), "a | b c");
}

/// State 15.
#[test]
fn a_backup_deleted_while_nobody_looked_is_a_gap() {
    let script = "append a b | read 1 | rotate | append c | rotate | restart | delete 1 | read | \
                  wait 4 | read | wait 4 | read";
    check(script, "a | c | backup_gone:212 | ");
}

/// State 16.
#[test]
fn a_log_truncated_and_written_anew_is_read_from_its_beginning() {
    check("append a b | read | put live c | reopen | append d | read", "a b | c d");
    check("append a b | read | put live a c d | restart | read", "a b | truncated:0 a c d");
    check("append a b c | read | put live a | read", "a b c | truncated:0 a");
    check("append a b c | read 2 | put live | read | wait 4 | read", "a b |  | backup_gone:212");
}

/// State 17.
#[test]
fn a_log_that_was_moved_away_is_followed() {
    let script = "append a | read | move live elsewhere | append b | read | wait 9 | append c | read | \
                  reopen | append d | read";
    check(script, "a | b | c | d");
}

/// State 18.
#[test]
fn a_log_beyond_its_size_is_renamed_unchanged_at_the_first_event() {
    check("append a*3000000 b | read | rotate | append c | read", "a b | c");
}

/// State 19.
#[test]
fn a_backup_that_replaces_another_of_its_name_is_read() {
    let script = "append a | rotate 1 | append b c | read 1 | read 1 | rotate 1 | append d | read | \
                  wait 4 | read";
    check(script, "a | b | c d | ");
    check("append a | rotate 1 | look | append b | rotate 1 | read | wait 4 | read", "a b | ");
}

/// State 20.
#[test]
fn formats_may_change_from_line_to_line() {
    check("append a old:b c undated:d e | read", "a b c d e");
    check("append old:a b | read | rotate | gzip | restart | append c | read", "a b | c");
}

/// State 21.
#[test]
fn files_of_others_are_left_alone() {
    check("put audit.log.swp x | put audit-x.log y | put other.log z | append a | read", "a");
}

/// State 22.
#[test]
fn a_gzip_that_is_never_finished_does_not_matter() {
    let script =
        "append a b | rotate | gzip-begun | read | wait 60 | restart | read | wait 60 | read";
    check(script, "a b |  | ");
}

/// State 23.
#[test]
fn a_directory_put_back_from_a_copy_is_read_on_not_again() {
    let script = "append a b | read | rotate | gzip | append c d | read 1 | copy live x | delete live | \
                  move x live | read";
    check(script, "a b | c | d");
}

/// State 24.
#[test]
fn a_log_that_may_not_be_read_is_named() {
    let mut play = super::play::Play::new(super::play::LIMITS, crate::config::StartAt::Beginning);
    play.script("put 3 x | put 4 y | append a");
    play.allow_reading("3", false);
    play.allow_reading("4", false);
    assert_eq!(play.script("read"), "a");
    assert_eq!(play.unreadable, [play.path("3"), play.path("4")]);
}
