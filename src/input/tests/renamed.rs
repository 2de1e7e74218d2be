//! logrotate with `create`, and a server that keeps writing to the renamed file.

use kit::log_writer::gzip;
use std::fs;

use proptest::prelude::*;

use super::play::{LIMITS, Play};
use crate::config::StartAt;

fn play() -> Play {
    Play::new(LIMITS, StartAt::Beginning)
}

/// Compresses the renamed file, as a cron job does.
fn compress(play: &Play, name: &str) {
    let plain = play.path(name);
    fs::write(play.path(&format!("{name}.gz")), gzip(&fs::read(&plain).unwrap())).unwrap();
    fs::remove_file(plain).unwrap();
}

#[test]
fn a_log_that_stays_empty_while_the_renamed_file_grows_is_reported_before_that_file_is_deleted() {
    let mut play = play();
    assert_eq!(play.script("append a | read | logrotate | append b | read | wait 5"), "a | b");
    assert_eq!(play.not_reopened, None, "it may be about to open its log anew");
    assert_eq!(play.script("append c | read"), "c");
    assert_eq!(play.not_reopened.as_deref(), Some("audit.log.1"));
    // It is no longer reported once the server writes to its log.
    assert_eq!(play.script("reopen | append d | wait 1 | read"), "d");
    assert_eq!(play.not_reopened, None);
}

#[test]
fn a_server_that_opens_its_log_anew_is_not_accused() {
    for script in [
        "append a | read | logrotate | append b | look | reopen | append c | wait 5 | append d | wait 5 | read",
        "append a | read | rotate | wait 9 | append b | wait 9 | read",
        "append a | read | copytruncate | wait 9 | look | wait 9 | read",
        "append a | read | logrotate | reopen | wait 99 | look",
    ] {
        let mut play = play();
        play.script(script);
        assert_eq!(play.not_reopened, None, "{script}");
    }
}

/// A quiet server: nothing shows that it still has the renamed file open when that file is compressed.
#[test]
fn events_written_into_a_renamed_file_after_it_was_compressed_and_deleted_are_read() {
    let mut play = play();
    assert_eq!(play.script("append a | read | logrotate | read | wait 9 | read"), "a |  | ");
    compress(&play, "audit.log.1");
    assert_eq!(play.script("look | wait 20 | read | append b | read"), " | b");
    assert_eq!(play.script("wait 20 | read | append c | wait 20 | read"), " | c");
    assert_eq!(play.not_reopened.as_deref(), Some("audit.log.1.gz"));
    // The next night: the backups get the next numbers, and the empty log becomes the newest backup.
    fs::rename(play.path("audit.log.1.gz"), play.path("audit.log.2.gz")).unwrap();
    fs::rename(play.path("live"), play.path("audit.log.1")).unwrap();
    fs::write(play.path("live"), "").unwrap();
    assert_eq!(play.script("wait 20 | append d | read"), "d");
    assert!(play.gaps.is_empty());
}

#[test]
fn a_link_keeps_the_file_that_the_server_may_still_write_to_over_a_restart() {
    let mut play = play().holding(1 << 30);
    play.script("append a | read | save | logrotate | wait 9 | read | save | save | wait 9");
    assert_eq!(play.links().len(), 1, "all of it is passed, and nobody knows what comes");
    compress(&play, "audit.log.1");
    play.script("wait 20 | save | restart | read | wait 20 | save | save | read");
    assert_eq!(play.script("append b | read | save | save"), "b");
    assert_eq!(
        play.script("restart | append c | read | reopen | append d | wait 3 | read"),
        "c | d"
    );
    play.script("save | save | wait 20 | look");
    assert_eq!(play.links().len(), 1, "that of the log alone: {:?}", play.links());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Rename, compression and deletion at any time, under a server that never reopens its log.
    #[test]
    fn whatever_a_cron_job_does_to_a_renamed_file_each_event_is_read_once(
        steps in prop::collection::vec(0..5_u8, 1..24),
    ) {
        let mut play = play();
        play.script("append a0 | read | logrotate | look");
        let (mut written, mut read) = (1, 0);
        let mut name = Some("audit.log.1");
        for step in steps {
            match step {
                0 | 1 => {
                    play.script(&format!("append a{written}"));
                    written += 1;
                }
                2 => drop(play.script("wait 3")),
                3 => read += play.script("read").split_whitespace().count(),
                _ => {
                    // Without a look in between, in which the server would be seen to write.
                    if let Some(name) = name.take() {
                        compress(&play, name);
                    }
                    play.look();
                }
            }
        }
        read += play.script("read").split_whitespace().count();
        prop_assert_eq!(read + 1, written);
    }
}
