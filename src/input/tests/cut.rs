//! State 16 in all its forms: files that were truncated, rewritten or replaced below the offset already read.

use super::check;
use super::play::{LIMITS, Play};
use super::server::event;
use crate::config::StartAt;
use kit::log_writer::gzip;

/// Lines of 5 KiB, so that there are marks of the cursor between them.
const LOG: &str = "append a*5000 b*5000 c*5000 d*5000 | read 1 | read 1 | read 1 | read 1";

fn check_after(change: &str, expected: &str) {
    check(&format!("{LOG} | {change}"), &format!("a | b | c | d | {expected}"));
}

#[test]
fn what_takes_the_place_of_a_lost_end_is_read_and_what_is_left_is_not_read_again() {
    // The changed place is between two marks, so events after the earlier mark may be duplicates and are looked up.
    check_after("put live a*5000 b*5000 | reopen | append e | restart | read", "truncated:0 b e");
    // A power cut: server and agent are restarted.
    check_after(
        "put live a*5000 b*5000 c*5000 | reopen | append e | restart | read",
        "truncated:0 e",
    );
    // The agent keeps running.
    check_after("put live a*5000 b*5000 c*5000 | reopen | append e | read", "truncated:0 e");
    // The new content is longer than the old.
    for restart in ["restart", "look"] {
        let grown = "put live a*5000 b*5000 c*5000 | reopen | append e*5000 f*5000 g*5000";
        check_after(&format!("{grown} | {restart} | read"), "truncated:0 e f g");
    }
    // The new content is exactly as long as the old, and grows later.
    let same = "put live a*5000 b*5000 c*5000 e*5000 | reopen | read | append f | read";
    check_after(same, " | truncated:0 e f");
}

#[test]
fn a_lost_end_that_left_half_an_event_gives_that_and_what_is_glued_to_it() {
    check_after("put live a*5000 b*5000 c*5000 | reopen | append d- e | read", "truncated:0 ~d e");
}

/// After a power cut the kernel had written the length but not the bytes.
#[test]
fn a_lost_end_of_nuls_is_told_and_what_follows_is_read() {
    check_after(
        "put live a*5000 b*5000 c*5000 0*5231 | reopen | append e | read",
        "truncated:0 hole:5231 e",
    );
}

#[test]
fn an_end_that_is_lost_again_and_again_is_read_from_where_it_still_is_what_it_was() {
    let script = "put live a*5000 b*5000 c*5000 | reopen | append e*5001 | read | restart | \
                  put live a*5000 b*5000 c*5000 | reopen | append f*5000 g*5000 | read | \
                  put live a*5000 | reopen | append h | restart | read";
    check_after(script, "truncated:0 e | truncated:0 f g | truncated:0 h");
}

#[test]
fn a_lost_end_is_noticed_in_the_backup_and_in_its_gzip_too() {
    let script = |end| {
        format!(
            "put live a*5000 b*5000 c*5000 | restart | reopen | append e | {end} | append x | read | wait 4 | read"
        )
    };
    check_after(&script("rotate"), "x | truncated:0 e");
    check_after(&script("rotate | gzip"), "truncated:0 e x | ");
    check_after(&script("rotate | gzip | restart"), "truncated:0 e x | ");
}

/// Bytes that were appended, seen and truncated before they were read are lost.
#[test]
fn bytes_that_were_seen_but_not_read_before_a_cut_are_counted() {
    let mut play = Play::new(LIMITS, StartAt::Beginning);
    play.script("append a*5000 b*5000 c*5000 | read 1 | read 1");
    let line = event("c", 5000).len() as u64 + 1;
    play.script(
        "append d*5000 | look | put live a*5000 | reopen | append e | look | restart | read",
    );
    let [gap] = &play.gaps[..] else { panic!("{:?}", play.gaps) };
    assert_eq!((gap.offset, gap.bytes, gap.at_least), (2 * line, 2 * line, true));
}

/// The file is replaced by another that begins with the same event.
#[test]
fn a_file_replaced_by_another_with_the_same_first_event_is_read_from_there() {
    check_after("restart | put live a*5000 x y z | read", "truncated:0 x y z");
    check_after("restart | put live a*4000 x y z | read", "truncated:0 a x y z");
}

/// Before its first rotation the server appends at the current end of the file. After it, the server keeps its offset
/// and leaves a hole.
#[test]
fn a_log_truncated_to_nothing_under_its_server_loses_no_event_that_follows() {
    let before = "append a b | read | put live | reopen | append c | read | wait 4 | read";
    check(before, "a b | c | ");
    let after = "append a b | read | put live | append c | read | wait 4 | read";
    check(after, "a b | hole:424 c | ");
    let down = "append a b | read | restart | put live | append c | read | wait 4 | read";
    check(down, "a b | hole:424 c | backup_gone:0");
}

/// The same offset under a new fingerprint is another event with its own id.
#[test]
fn what_follows_a_change_has_ids_of_its_own_and_may_have_been_delivered_up_to_where_reading_stood()
{
    let mut play = Play::new(LIMITS, StartAt::Beginning);
    play.script(&format!(
        "{LOG} | put live a*5000 b*5000 c*5000 | reopen | append x*4000 e*5000 f | restart"
    ));
    let line = event("a", 5000).len() as u64 + 1;
    assert_eq!(play.script("read 1 | read 1 | read 1"), "truncated:0 x | e | f");
    let progress = play.cursor.as_ref().unwrap().generations.values().next().unwrap();
    assert_eq!((progress.alterations, progress.maybe_delivered_below), (1, 4 * line));
    assert_eq!(play.again, [false, false, false, false, true, true, false]);
}

/// A shorter copy under another name, while the log goes on.
#[test]
fn a_gzip_that_is_shorter_than_what_was_read_is_no_damage() {
    let mut play = Play::new(LIMITS, StartAt::Beginning);
    play.script(LOG);
    let short =
        [event("a", 5000), event("b", 5000), event("c", 5000), event("e", 0), String::new()]
            .join("\n");
    std::fs::write(play.path("1").with_extension("log.gz"), gzip(short.as_bytes())).unwrap();
    assert_eq!(play.script("delete live | restart | read | wait 11 | read"), "truncated:0 e | ");
}
