//! Lines of every length and kind, at every offset in a buffer.

use super::check;
use super::play::{LIMITS, Play, check_with};
use super::server::event;
use crate::config::StartAt;
use crate::input::Limits;
use kit::log_writer::gzip;

fn limits(bytes: usize, events: usize, line_bytes: usize) -> Limits {
    Limits { bytes, events, line_bytes }
}

#[test]
fn batches_of_any_size_hold_the_same_events_under_the_same_ids() {
    let script = "append a b- c 0*9 d* e junk blank f~ | rotate | append g h | peek | restart | ";
    let script = script.replace("d*", "d*9000");
    let mut play = Play::new(LIMITS, StartAt::Beginning);
    let all = play.script(&format!("{script} peek"));
    let (_, all) = all.split_once(" | ").unwrap();
    assert_eq!(all, "hole:9 a ~b c d e ?junk f g h");
    for (max_bytes, max_events) in [(1, 1), (1, 5000), (300, 2), (4096, 3), (1 << 20, 1)] {
        play.restart_with(limits(max_bytes, max_events, 1 << 20));
        let read = play.script("peek").replace("hole:9 ", "");
        assert_eq!(read, all.replace("hole:9 ", ""), "{max_bytes} bytes, {max_events} events");
    }
}

/// The first read of a batch ends exactly before, at and after the end of a line.
#[test]
fn lines_that_end_where_a_buffer_ends_are_read() {
    let line = event("b", 0).len() + 1;
    let empty = event("a", 1).len();
    for end in 8190..8195 {
        let body = end - empty - line;
        let script = format!("append a*{body} b c d | read | restart | read");
        check_with(limits(8192, 5000, 1 << 20), &script, "a b c d | ");
    }
}

#[test]
fn events_of_many_megabytes_pass() {
    check("append a*5242880 b c*9000000 | rotate | append d*5000000 | gzip | read", "a b c d");
    check(
        "append a b*5242880 | read 1 | restart | read | rotate | gzip | restart | read",
        "a | b | ",
    );
}

#[test]
fn a_line_that_is_too_long_is_shipped_without_its_bodies_and_what_follows_keeps_its_place() {
    let small = limits(1 << 20, 5000, 5 << 20);
    let script = "append a b*6000000 c | read | append d | read | restart | append e | read | peek | rotate | gzip | \
                  append f | read";
    check_with(small, script, "a b! c | d | e |  | f");
}

#[test]
fn what_follows_an_over_long_line_has_the_same_id_as_when_it_is_held_whole() {
    let mut play = Play::new(LIMITS, StartAt::Beginning);
    assert_eq!(play.script("append a b*6000000 c d | peek"), "a b c d");
    play.restart_with(limits(1 << 20, 5000, 5 << 20));
    assert_eq!(play.script("peek"), "a b! c d");
}

/// A write of many megabytes is seen half done.
#[test]
fn a_line_that_is_too_long_is_waited_for_to_its_end() {
    let mut play = Play::new(limits(1 << 20, 5000, 5 << 20), StartAt::Beginning);
    let line = format!("{}\n", event("b", 12_000_000));
    play.script("append a");
    let mut found = String::new();
    for part in line.as_bytes().chunks(3_000_001) {
        play.append(part);
        found = format!("{found} {}", play.script("read | read"));
    }
    play.script("append c");
    found = format!("{found} {}", play.script("read"));
    let words: Vec<_> = found.split_whitespace().filter(|word| *word != "|").collect();
    assert_eq!(words, ["a", "b!", "c"]);
}

/// An unfinished line of that length is not kept in memory.
#[test]
fn an_unfinished_line_of_many_megabytes_is_read_once_it_is_finished() {
    let line = format!("{}\n", event("b", 12_000_000));
    let mut play = Play::new(LIMITS, StartAt::Beginning);
    play.script("append a");
    play.append(&line.as_bytes()[..7_000_000]);
    assert_eq!(play.script("read | read"), "a | ");
    play.append(&line.as_bytes()[7_000_000..]);
    assert_eq!(play.script("read"), "b");
    play.append(&line.as_bytes()[..7_000_000]);
    assert_eq!(
        play.script("read | rotate | append c | read | wait 3 | read | read"),
        " | c | ~b | "
    );
}

#[test]
fn blank_lines_and_carriage_returns_do_not_matter() {
    check("append blank a~ blank blank b | rotate | gzip | append blank c | read", "a b c");
}

#[test]
fn a_file_of_nothing_but_nuls_is_a_loss_that_is_said() {
    check("append 0*70000 | rotate | append a | read | wait 3 | read | read", "hole:70000 a |  | ");
    check("append 0*70000 | rotate | gzip | append a | read | restart | read", "hole:70000 a | ");
    check("append 0*70000 | read | append a | read", " | hole:70000 a");
}

#[test]
fn nuls_at_the_end_of_a_backup_are_said() {
    check("append a b 0*5000 | rotate | gzip | read | restart | read", "hole:5000 a b | ");
    check("append a b- 0*5000 | read | wait 3 | restart | append c | read", "hole:5000 a ~b | c");
}

#[test]
fn a_hole_of_many_readings_is_told_as_one_and_what_follows_keeps_its_place() {
    let script = "append a 0*900000 b 0*30000 c | read 1 | restart | read | rotate | gzip | restart | append d | read";
    check_with(limits(5000, 5000, 1 << 20), script, "a | hole:930000 b c | d");
}

#[test]
fn a_gzip_of_nothing_is_nothing() {
    let mut play = Play::new(LIMITS, StartAt::Beginning);
    std::fs::write(play.path("1").with_extension("log.gz"), gzip(b"")).unwrap();
    assert_eq!(play.script("append a | read | wait 20 | read"), "a | ");
}

/// Two members, as after `gzip >>`, and the bytes that some tools leave after a member.
#[test]
fn joined_members_are_read_and_garbage_behind_them_is_said() {
    let mut play = Play::new(LIMITS, StartAt::Beginning);
    let member = |id| gzip(format!("{}\n", event(id, 0)).as_bytes());
    let path = play.path("1").with_extension("log.gz");
    std::fs::write(&path, [member("a"), member("b")].concat()).unwrap();
    assert_eq!(play.script("read 1 | restart | read | restart | read"), "a | b | ");
    let mut play = Play::new(LIMITS, StartAt::Beginning);
    let path = play.path("1").with_extension("log.gz");
    std::fs::write(&path, [member("a"), vec![b'x'; 40]].concat()).unwrap();
    assert_eq!(play.script("read | wait 11 | read | restart | read"), "a | damaged_gzip:30 | ");
}

/// The decoder reports the error once, and then the end of the file.
#[test]
fn a_member_with_a_wrong_checksum_is_a_loss_that_is_said_and_not_the_end_of_the_file() {
    let mut play = Play::new(LIMITS, StartAt::Beginning);
    let member = |id| gzip(format!("{}\n", event(id, 0)).as_bytes());
    let path = play.path("1").with_extension("log.gz");
    let (mut first, second) = (member("a"), member("b"));
    let checksum = first.len() - 8;
    first[checksum] ^= 1;
    std::fs::write(&path, [first, second.clone()].concat()).unwrap();
    let said = format!("a |  | damaged_gzip:{} | ", second.len());
    assert_eq!(play.script("read | wait 1 | read | wait 11 | read | restart | read"), said);
}

/// Other agents swallow errors in a partial gz, or their offset jumps to its end.
#[test]
fn a_backup_cut_anywhere_gives_a_prefix_and_goes_on_when_it_is_whole() {
    let log: String = (0..60).map(|n| event(&n.to_string(), n * 13) + "\n").collect();
    let whole = gzip(log.as_bytes());
    let all: Vec<_> = (0..60).map(|n| n.to_string()).collect();
    for cut in (0..whole.len()).step_by(11).chain(whole.len() - 9..whole.len()) {
        let mut play = Play::new(LIMITS, StartAt::Beginning);
        let path = play.path("1").with_extension("log.gz");
        std::fs::write(&path, &whole[..cut]).unwrap();
        let mut words = play.script("read 3 | read 7 | restart | read");
        std::fs::write(&path, &whole).unwrap();
        words += " ";
        words += &play.script("wait 2 | restart | read | restart | read").replace('|', " ");
        let words: Vec<_> = words.split_whitespace().filter(|word| *word != "|").collect();
        assert_eq!(words, all, "cut at {cut}");
    }
}

#[test]
fn a_backup_that_stays_cut_ends_in_one_torn_event_and_one_gap() {
    let log: String = (0..60).map(|n| event(&n.to_string(), n * 13) + "\n").collect();
    let whole = gzip(log.as_bytes());
    for cut in (20..whole.len()).step_by(23) {
        let mut play = Play::new(LIMITS, StartAt::Beginning);
        let path = play.path("1").with_extension("log.gz");
        std::fs::write(&path, &whole[..cut]).unwrap();
        let words = play.script("read 3 | read | wait 11 | read | restart | read | wait 11 | read");
        let words: Vec<_> = words.split_whitespace().filter(|word| *word != "|").collect();
        assert_eq!(words.last(), Some(&"damaged_gzip:0"), "cut at {cut}");
        let whole = words.iter().filter(|word| word.parse::<u32>().is_ok()).count();
        let torn = words.len() - whole - 1;
        assert!(torn <= 1, "cut at {cut}: {words:?}");
        assert!((0..whole).all(|n| words[n] == n.to_string()), "cut at {cut}: {words:?}");
    }
}
