//! Promise 3: a backup that an output needs cannot disappear.

use std::fs;
use std::path::PathBuf;

use rustix::io::Errno;

use super::play::{LIMITS, Play};
use super::server::event;
use crate::config::StartAt;
use crate::disk::FaultKind;

const GIB: u64 = 1 << 30;

fn holding(max_bytes: u64) -> Play {
    Play::new(LIMITS, StartAt::Beginning).holding(max_bytes)
}

/// Plays a script with a hold budget that has room for everything.
#[track_caller]
fn check(script: &str, expected: &str) -> Play {
    let mut play = holding(GIB);
    let found = play.script(script);
    assert_eq!(found, expected, "\n{script}\n{}\n{:?}", play.listing(), play.links());
    play
}

/// The server keeps one backup, and nothing is read meanwhile. No file stays open across the restart.
#[test]
fn backups_that_are_deleted_unread_arrive_after_a_restart() {
    let script = "append a | look | rotate | append b | look | rotate | delete 1 | append c | look | \
                  rotate | delete 2 | append d | look | restart | read";
    check(script, "a | b | c | d".replace(" | ", " ").as_str());
}

#[test]
fn a_backup_whose_gz_is_deleted_too_arrives_from_where_its_reading_stood() {
    check(
        "append a b c | read 1 | rotate | gzip | delete 1_gz | append d | look | restart | read",
        "a | b c d",
    );
    check("append a b | look | rotate | gzip | look | restart | delete 1_gz | read", "a b");
}

#[test]
fn the_log_directory_is_emptied_while_the_agent_is_down_and_only_what_was_never_seen_is_gone() {
    let script = "append a | look | rotate | append b | read 1 | rotate | gzip | append c | look | \
                  delete 1 | delete 2_gz | delete live | reopen | restart | append e | read | wait 3 | read";
    check(script, "a | b c e | ");
}

#[test]
fn a_link_goes_once_two_checkpoints_have_passed_it_and_not_before() {
    let mut play = check("append a b | read | rotate | append c | wait 3 | read", "a b | c");
    assert_eq!(play.links().len(), 2);
    play.script("save | look");
    assert_eq!(play.links().len(), 2, "one checkpoint is not enough: it may turn out damaged");
    play.script("save | look");
    assert_eq!(play.links().len(), 1, "{:?}", play.links());
    assert_eq!(play.kept.pins, 1);
}

#[test]
fn what_is_read_but_not_acknowledged_is_kept() {
    let mut play = check("append a b | look | rotate | append c | wait 3 | peek", "a b c");
    play.script("save | save | delete 1 | look");
    assert_eq!(play.links().len(), 2);
    assert_eq!(play.script("restart | read"), "a b c");
}

#[test]
fn a_link_of_what_is_passed_is_removed_by_the_next_process() {
    let mut play = check("append a | read | rotate | append b | wait 3 | read | delete 1", "a | b");
    assert_eq!(play.links().len(), 2);
    play.script("restart | look | save | look");
    assert_eq!(play.links().len(), 1, "{:?}", play.links());
}

#[test]
fn one_copy_is_kept_and_a_whole_gz_takes_the_place_of_its_plain_file() {
    let mut play =
        check("append a*3000 b*3000 | look | rotate | append c | look | gzip | look", "");
    let ends =
        |play: &Play, end: &str| play.links().iter().filter(|name| name.ends_with(end)).count();
    assert_eq!((ends(&play, ".log"), ends(&play, ".log.gz")), (2, 0));
    let plain = play.kept.alone;
    assert!(plain > 0);
    play.script("wait 11 | look");
    assert_eq!((ends(&play, ".log"), ends(&play, ".log.gz")), (1, 1), "{:?}", play.links());
    assert_eq!(play.kept.alone, 0);
    play.script("delete 1_gz | look | restart");
    assert_eq!(play.script("read"), "a b c");
}

#[test]
fn a_gz_that_is_not_whole_does_not_take_the_place_of_its_plain_file() {
    let events: Vec<_> = (0..300).map(|n| format!("e{n}")).collect();
    let mut play = check(&format!("append {} | look | rotate | look | gzip", events.join(" ")), "");
    let gz = play.path("1_gz");
    let mut bytes = fs::read(&gz).unwrap();
    // The beginning, and the trailer with the length, are unchanged.
    let late = bytes.len() - 20;
    bytes[late] ^= 0xff;
    fs::write(&gz, bytes).unwrap();
    play.script("look | wait 11 | look | look | restart");
    assert_eq!(play.links().len(), 1, "{:?}", play.links());
    assert_eq!(play.script("read"), events.join(" "));
}

#[test]
fn when_the_budget_is_spent_the_oldest_goes_and_its_unread_bytes_are_told() {
    let size = event("a", 20_000).len() as u64 + 1;
    let mut play = holding(50_000);
    let script = "append a*20000 | look | rotate | append b*20000 | look | rotate | append c*20000 | look | \
                  rotate | append d | look | delete 1 | look | delete 2 | look | delete 3 | look | read";
    let found = play.script(script);
    assert_eq!(found, format!("budget_spent:{size} b c d"), "{:?}", play.links());
    assert!((1..=50_000).contains(&play.kept.alone), "{:?}", play.kept);
}

#[test]
fn a_backup_that_was_read_in_part_is_a_gap_of_the_rest_only() {
    let size = event("a", 20_000).len() as u64 + 1;
    let mut play = holding(100);
    let found = play.script("append a*20000 b*20000 | read 1 | rotate | append c | look | delete 1 | look | look | read");
    assert_eq!(found, format!("a | budget_spent:{size} c"));
}

#[test]
fn what_all_have_passed_is_no_loss_when_the_budget_ends() {
    let mut play = holding(100);
    let found = play.script(
        "append a*20000 | read | rotate | append b | wait 3 | read | delete 1 | look | look | read",
    );
    assert_eq!(found, "a | b | ");
}

/// The process that removed the link reports the gap; the next process knows it from the checkpoint.
#[test]
fn with_links_turned_off_what_an_earlier_process_kept_is_let_go_and_told() {
    let mut play = holding(GIB);
    play.script("append a b | read 1 | rotate | append c | look | delete 1 | look");
    let mut play = play.holding(0);
    assert_eq!(play.script("look | look | read").split(':').next(), Some("budget_spent"));
    assert_eq!(play.links(), Vec::<String>::new());
}

#[test]
fn a_log_that_is_copied_and_truncated_is_kept_under_both_names() {
    let script = "append a b | read 1 | look | copytruncate | append c d | look | delete audit.log.1 | \
                  look | restart | read";
    let mut play = holding(GIB);
    assert_eq!(play.script(script), "a | b hole:424 c d", "{:?}", play.links());
}

/// The link is of the log itself, and half a line at its start is no complete first event, so there is no fingerprint
/// yet.
#[test]
fn a_truncated_log_that_begins_with_half_a_line_is_not_a_backup_of_half_a_line() {
    let truncated = "append a | read | copytruncate | reopen | append b-";
    let finished = "read | wait 30 | append -b | read | wait 30 | read";
    check(&format!("{truncated} | restart | {finished}"), "a |  | b | ");
    check(&format!("{truncated} | {finished}"), "a |  | b | ");
    // If a log is gone, nobody knows whether it held more than was read.
    let gone = format!("{truncated} | delete audit.log.1 | restart | {finished}");
    check(&gone, "a |  | backup_gone:0 b | ");
}

/// The link is of the log, which has other content by now.
#[test]
fn a_copy_of_a_truncated_log_that_is_compressed_at_once_is_read() {
    let truncated = "append a b | read 1 | copytruncate | move audit.log.1 9 | gzip 9 | reopen";
    for then in ["", "| append c-", "| append c"] {
        for finished in ["look | delete 9_gz | read", "restart | look | delete 9_gz | read"] {
            let found = holding(GIB).script(&format!("{truncated} {then} | {finished}"));
            let last = if then.ends_with('c') { " c" } else { "" };
            assert_eq!(found, format!("a | b{last}"), "{then} {finished}");
        }
    }
}

#[test]
fn half_a_line_in_a_file_that_only_a_link_keeps_is_read() {
    let script = "append a | read | copytruncate | reopen | append b- | delete live | reopen | append c | restart | \
                  read | wait 30 | read";
    check(script, "a | c | ~b");
}

/// A link may hold another file than its name says; a name alone proves nothing.
#[test]
fn a_link_that_holds_something_else_than_its_name_says_is_not_believed() {
    let mut play = check("append a | look | rotate | append b | look | delete 1", "");
    let links = play.links();
    let hold = play.path(".auditrail-hold");
    let (one, two) = (hold.join(&links[0]), hold.join(&links[1]));
    let swapped = hold.join("swapped");
    for (from, to) in [(&one, &swapped), (&two, &one), (&swapped, &two)] {
        fs::rename(from, to).unwrap();
    }
    assert_eq!(play.script("restart | read"), "a b");
}

/// The agent is killed, or the disk is full, between making a link and renaming it.
#[test]
fn a_link_that_never_got_its_name_keeps_its_file_all_the_same() {
    for restart in ["restart |", ""] {
        let mut play = check("append a | look | rotate 1 | append b | look", "");
        let hold = play.path(".auditrail-hold");
        for link in play.links() {
            fs::rename(hold.join(&link), hold.join(link + ".new")).unwrap();
        }
        assert_eq!(play.script(&format!("{restart} look | delete 1 | restart | read")), "a b");
        assert!(play.links().iter().all(|link| !link.contains(".new")), "{:?}", play.links());
    }
}

/// A disk error, or no file descriptor left: links may exist, so the files that they keep are not reported as lost.
#[test]
fn while_the_hold_directory_cannot_be_read_nothing_is_told_to_be_lost() {
    let begin = "append a b | read 1 | rotate 1 | append c | look | delete 1 | restart";
    let mut play = check(begin, "a");
    let hold = play.path(".auditrail-hold");
    crate::disk::plan(&hold, FaultKind::Read, 0, u64::MAX, Errno::IO);
    assert_eq!(play.script("read | wait 60 | read"), "c | ");
    crate::disk::plan(&hold, FaultKind::Read, 0, 0, Errno::IO);
    assert_eq!(play.script("wait 1 | read"), "b");
    assert!(play.gaps.is_empty(), "{:?}", play.gaps);
    // An output that starts at that moment does not leave the linked file out.
    let mut play = check(&begin.replace("read 1", "look"), "");
    let hold = play.path(".auditrail-hold");
    crate::disk::plan(&hold, FaultKind::Read, 0, u64::MAX, Errno::IO);
    assert_eq!(play.script("read"), "");
    crate::disk::plan(&hold, FaultKind::Read, 0, 0, Errno::IO);
    assert_eq!(play.script("wait 1 | read"), "a b c");
}

/// The file is deleted, or partly compressed, while only the open file holds it, and the disk returns errors.
#[test]
fn an_open_file_that_cannot_be_read_for_a_while_is_read_on_later() {
    for gone in ["delete 1", "gzip 1 | cut 1_gz 4"] {
        let mut play = Play::new(LIMITS, StartAt::Beginning);
        let live = play.path("live");
        assert_eq!(play.script("append a b | read 1 | rotate 1 | look"), "a");
        play.script(gone);
        crate::disk::plan(&live, FaultKind::Read, 0, u64::MAX, Errno::IO);
        assert_eq!(play.script("read | wait 60 | read"), " | ", "{gone}");
        crate::disk::plan(&live, FaultKind::Read, 0, 0, Errno::IO);
        assert_eq!(play.script("read"), "b", "{gone}");
        assert!(play.gaps.is_empty(), "{gone}: {:?}", play.gaps);
    }
}

#[test]
fn files_of_others_in_the_hold_directory_are_left_alone_and_never_read() {
    let mut play = holding(GIB);
    let hold: PathBuf = play.path(".auditrail-hold");
    fs::create_dir(&hold).unwrap();
    fs::write(hold.join("notes.txt"), event("x", 0) + "\n").unwrap();
    fs::write(hold.join("audit.log"), event("y", 0) + "\n").unwrap();
    assert_eq!(play.script("append a | read | restart | read"), "a | ");
    assert!(hold.join("notes.txt").is_file() && hold.join("audit.log").is_file());
}

#[test]
fn where_no_link_can_be_made_open_files_are_read_all_the_same() {
    let mut play = holding(GIB);
    fs::write(play.path(".auditrail-hold"), "in the way").unwrap();
    assert_eq!(
        play.script("append a b | read 1 | rotate | look | delete 1 | append c | read"),
        "a | b c"
    );
}

#[test]
fn a_log_behind_a_symbolic_link_is_kept_itself() {
    let mut play = holding(GIB);
    play.script("append a");
    fs::create_dir(play.path("real")).unwrap();
    fs::rename(play.path("live"), play.path("real/log")).unwrap();
    std::os::unix::fs::symlink(play.path("real/log"), play.path("live")).unwrap();
    play.script("look");
    assert_eq!(play.links().len(), 1);
    fs::remove_dir_all(play.path("real")).unwrap();
    play.script("delete live | reopen | append b");
    assert_eq!(play.script("restart | read"), "a b");
}

#[test]
fn a_copy_whose_gz_is_there_goes_before_anything_is_lost() {
    let mut play = holding(30_000);
    play.script("append a*20000 | look | rotate | look | delete 1 | append b*20000 | look | rotate | look | gzip | append c | look | look | look");
    assert_eq!(play.script("read | wait 3 | read"), "a b c | ");
}

#[test]
fn hundreds_of_backups_are_linked_and_let_go_again() {
    let mut play = holding(GIB);
    for n in 0..300 {
        play.script(&format!("append e{n} | rotate"));
    }
    play.script("append live | look");
    assert_eq!(play.links().len(), 301);
    play.script("wait 3 | read | save | save | look");
    assert_eq!(play.links().len(), 1);
}
