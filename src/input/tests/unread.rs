//! Files that the agent may not read: their listed bytes are delivered later or reported as a gap.

use proptest::prelude::*;
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

use super::gone::{GapSummary, told};
use super::play::{LIMITS, Play};
use crate::config::StartAt;

/// Makes this thread subject to file modes, like an agent that does not run as root. Each test has its own thread.
fn unprivileged() {
    let mut sets = capabilities(None).unwrap();
    sets.effective.remove(CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH);
    set_capabilities(None, sets).unwrap();
}

fn play() -> Play {
    unprivileged();
    Play::new(LIMITS, StartAt::Beginning)
}

fn backup(stamp: u32) -> String {
    format!("audit-2026-11-21T06-28-00.{stamp:03}.log")
}

/// Rotated while no agent was running, so that the files were never open: backup 1 holds `b`, backup 2 `c`, and the
/// log `d`.
const BEGIN: &str =
    "append a | read | restart | append b@1 | rotate 1 | append c@2 | rotate 2 | append d@3";

#[test]
fn a_backup_that_could_never_be_read_and_is_deleted_is_a_gap_with_its_bytes_and_its_place() {
    let mut play = play();
    assert_eq!(play.script(BEGIN), "a");
    assert_eq!(play.script("chmod 2 0 | read | wait 60 | read"), "b d | ");
    assert_eq!(play.script("delete 2 | read | wait 4 | read"), " | backup_gone:212");
    // From the last event read before it to the time when the server began the next file.
    let gap: GapSummary = (backup(2), 0, 212, false, Some(1), Some(157));
    assert_eq!(told(&play), [gap]);
    assert_eq!(play.script("wait 60 | read | restart | wait 60 | read"), " | ");
}

#[test]
fn a_backup_that_can_be_read_at_last_is_read_and_not_missed() {
    for between in ["", "restart |", "wait 60 | restart | wait 60 |"] {
        let mut play = play();
        play.script(BEGIN);
        play.script("chmod 2 0 | read");
        assert_eq!(play.script(&format!("{between} chmod 2 600 | read")), "c", "{between}");
        assert_eq!(play.script("wait 60 | read | restart | wait 60 | read"), " | ", "{between}");
        assert!(play.gaps.is_empty());
    }
}

#[test]
fn a_backup_that_nobody_could_read_is_missed_after_a_restart_too() {
    let mut play = play();
    play.script(BEGIN);
    play.script("chmod 2 0 | read | restart | delete 2 | read");
    assert_eq!(play.script("wait 4 | read | restart | wait 4 | read"), "backup_gone:212 | ");
    assert_eq!(told(&play)[0].0, backup(2));
}

#[test]
fn a_backup_that_is_compressed_unread_is_owed_once() {
    let mut play = play();
    play.script(BEGIN);
    play.script("chmod 2 0 | read | chmod 2 600 | gzip 2 | chmod 2_gz 0 | read | wait 60");
    assert_eq!(play.script("delete 2_gz | read | wait 4 | read"), " | backup_gone:212");
    let (file, _, _, at_least, ..) = &told(&play)[0];
    assert_eq!((file.as_str(), *at_least), (&*format!("{}.gz", backup(2)), false));
}

/// The server creates its log readable only by its own user, and the next log has the same mode.
#[test]
fn a_log_that_could_never_be_read_is_owed_under_whichever_name_it_has() {
    let mut play = play();
    play.script(
        "append a b | chmod live 0 | read | rotate 1 | append c | chmod live 0 | read | wait 60",
    );
    assert_eq!(play.script("delete 1 | read | wait 4 | read"), " | backup_gone:424");
    assert_eq!(play.script("chmod live 600 | read | wait 60 | read"), "c | ");
    assert_eq!(told(&play).len(), 1);
}

/// What identifies it is not complete yet: it is there all the same.
#[test]
fn a_log_that_can_be_read_again_while_it_holds_half_an_event_is_not_missed() {
    for between in ["wait 60", "restart | read | wait 60"] {
        let mut play = play();
        play.script("append a | read | rotate 1 | append b- | chmod live 0 | read | wait 60");
        play.script(&format!("chmod live 600 | read | {between} | read"));
        assert!(play.gaps.is_empty(), "{between}: {:?}", play.gaps);
        assert_eq!(play.script("append -b | read | wait 60 | read"), "b | ", "{between}");
        assert!(play.gaps.is_empty(), "{between}: {:?}", play.gaps);
    }
}

/// logrotate creates the log before it gives it to the server's user, and the server keeps writing to the renamed file.
#[test]
fn a_log_that_is_empty_and_could_not_be_read_for_a_moment_hides_no_server_that_did_not_reopen_it() {
    let mut play = play();
    play.script("append a | read | logrotate | chmod live 0 | look | chmod live 600 | look");
    assert_eq!(play.script("append b | read | wait 5 | append c | read"), "b | c");
    assert_eq!(play.not_reopened.as_deref(), Some("audit.log.1"));
    assert!(play.gaps.is_empty(), "{:?}", play.gaps);
}

/// Neither its name nor its inode identifies it then; only its modification time does.
#[test]
fn a_log_that_could_not_be_read_and_is_compressed_while_nobody_looks_is_not_missed() {
    const UNREAD: &str = "append a | read | rotate 1 | append b@1 | written live 5 | chmod live 0 | read | wait 60 | restart | chmod live 600 | rotate 2";
    let mut play = play();
    assert_eq!(play.script(UNREAD), "a | ");
    assert_eq!(play.script("gzip 2 | append c@20 | read | wait 60 | read"), "b c | ");
    assert!(play.gaps.is_empty(), "{:?}", play.gaps);
    // A file that was written to before or after that time is another one.
    let mut play = self::play();
    play.script(UNREAD);
    let read = play
        .script("delete 2 | append c@20 | rotate 3 | gzip 3 | append d@30 | read | wait 60 | read");
    assert_eq!(read, "c d | backup_gone:212");
}

/// An earlier process has read half of it, and this one cannot open it: it is recognised by its name.
#[test]
fn what_was_half_read_and_cannot_be_opened_after_a_restart_is_read_on_later() {
    let mut play = play();
    let script = "append a b | read 1 | rotate 1 | append c | look | wait 3 | restart | chmod 1 0 | read | wait 60 | read";
    assert_eq!(play.script(script), "a | c | ");
    assert_eq!(play.script("restart | read | chmod 1 600 | read"), " | b");
    assert_eq!(play.script("wait 60 | read"), "");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Modes that change, deletions and restarts, in any order: each event of every listed file is either read or in
    /// a gap.
    #[test]
    fn whatever_becomes_of_backups_that_cannot_be_read_all_events_are_accounted_for(
        steps in prop::collection::vec((0..7_u8, 0..4_usize), 1..24),
    ) {
        let mut play = play();
        play.script("append a | read | restart");
        let (mut backups, mut written, mut read) = (Vec::new(), 1, 1);
        for (step, which) in steps {
            let backup = backups.get(which % backups.len().max(1)).copied();
            match (step, backup) {
                (0 | 1, _) => {
                    written += 1;
                    let stamp = written;
                    // If it is hidden from the first moment, only its listing is known.
                    let hide = if step == 0 { format!("chmod {stamp} 0 |") } else { String::new() };
                    play.script(&format!("append a{written}@{written} | rotate {stamp} | {hide} look"));
                    backups.push(stamp);
                }
                (2, Some(stamp)) => drop(play.script(&format!("chmod {stamp} 0 | look"))),
                (3, Some(stamp)) => drop(play.script(&format!("chmod {stamp} 600 | look"))),
                (4, Some(stamp)) => {
                    play.script(&format!("delete {stamp} | look | wait 4"));
                    backups.retain(|other| *other != stamp);
                }
                (5, _) => drop(play.script("wait 4 | restart | look")),
                _ => read += count(&play.script("read | wait 4 | read")),
            }
        }
        for stamp in backups {
            play.script(&format!("chmod {stamp} 600"));
        }
        read += count(&play.script("read | wait 4 | read | wait 4 | read"));
        let lost: u64 = play.gaps.iter().map(|gap| gap.bytes).sum();
        prop_assert!(play.gaps.iter().all(|gap| !gap.at_least), "{:?}", play.gaps);
        prop_assert_eq!(read + lost / 212, written, "{}", play.listing());
    }
}

/// The number of events among the words of readings.
fn count(words: &str) -> u64 {
    words.split_whitespace().filter(|word| word.starts_with('a')).count() as u64
}
