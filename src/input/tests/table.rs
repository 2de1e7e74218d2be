//! Tables of tests: one or more for every state of a log on disk, as section 3.2 of the Kubernetes reference numbers
//! them, and for every way in which other agents lose events of files.

use std::collections::BTreeSet;

/// A state, and the tests for it.
const STATES: [(u8, &[&str]); 24] = [
    (
        1,
        &[
            "a_log_that_is_not_there_is_waited_for_and_not_made",
            "the_moment_without_a_live_file_in_a_rotation_loses_nothing",
            "nothing_is_given_up_as_long_as_there_is_no_log_at_all",
        ],
    ),
    (2, &["an_empty_log_is_read_from_its_first_event"]),
    (3, &["a_growing_log_is_read_line_by_line"]),
    (
        4,
        &[
            "an_unfinished_line_is_held_back_until_it_is_finished",
            "an_unfinished_line_of_many_megabytes_is_read_once_it_is_finished",
        ],
    ),
    (
        5,
        &[
            "a_line_that_a_rotation_left_unfinished_is_shipped_as_damaged_once_nobody_writes_any_more",
        ],
    ),
    (6, &["an_event_glued_to_a_torn_one_is_delivered"]),
    (
        7,
        &[
            "a_hole_is_passed_over_and_said",
            "a_file_of_nothing_but_nuls_is_a_loss_that_is_said",
            "a_lost_end_of_nuls_is_told_and_what_follows_is_read",
        ],
    ),
    (
        8,
        &[
            "the_rest_of_a_rotated_log_is_read_before_the_new_one",
            "what_a_second_writer_appends_to_a_backup_is_read",
            "a_backup_deleted_under_a_second_server_is_followed",
        ],
    ),
    (9, &["several_backups_are_read_oldest_first"]),
    (10, &["a_gzip_beside_its_backup_is_not_read"]),
    (11, &["gzip_of_a_half_read_backup_resumes_at_the_first_unread_event"]),
    (
        12,
        &[
            "a_damaged_backup_gives_its_whole_lines_and_the_loss_is_said_once",
            "an_empty_backup_is_a_loss_that_is_said_once",
            "a_backup_that_is_still_being_copied_is_not_taken_for_damaged",
        ],
    ),
    (13, &["a_backup_that_vanishes_before_its_gzip_can_be_read_is_waited_for"]),
    (14, &["a_deleted_backup_is_read_to_its_end"]),
    (
        15,
        &[
            "a_backup_deleted_while_nobody_looked_is_a_gap",
            "backups_deleted_while_nobody_ran_are_told_with_their_names_and_all_their_bytes",
            "a_log_that_was_live_and_is_gone_is_told_with_what_was_seen_of_it_at_least",
            "generations_that_came_and_went_unseen_leave_a_hole_that_is_told_once",
        ],
    ),
    (
        16,
        &[
            "a_log_truncated_and_written_anew_is_read_from_its_beginning",
            "what_takes_the_place_of_a_lost_end_is_read_and_what_is_left_is_not_read_again",
            "a_log_that_lost_its_end_below_what_was_sent_is_read_on_and_nothing_is_stored_twice",
            "a_log_that_lost_its_end_leaves_no_line_twice_in_a_file",
        ],
    ),
    (17, &["a_log_that_was_moved_away_is_followed"]),
    (18, &["a_log_beyond_its_size_is_renamed_unchanged_at_the_first_event"]),
    (
        19,
        &[
            "a_backup_that_replaces_another_of_its_name_is_read",
            "a_backup_replaced_by_another_of_its_name_is_a_gap_if_it_was_not_read",
        ],
    ),
    (20, &["formats_may_change_from_line_to_line"]),
    (21, &["files_of_others_are_left_alone"]),
    (22, &["a_gzip_that_is_never_finished_does_not_matter"]),
    (
        23,
        &[
            "a_directory_put_back_from_a_copy_is_read_on_not_again",
            "a_directory_that_comes_later_or_is_replaced_is_followed",
            "a_restored_directory_is_read_on",
        ],
    ),
    (
        24,
        &[
            "a_log_that_may_not_be_read_is_named",
            "a_backup_that_cannot_be_read_for_a_while_is_waited_for",
        ],
    ),
];

/// A way in which other agents lose events, and the tests that show that this agent does not.
const PEERS: [(&str, &[&str]); 11] = [
    (
        "a rotated gzip is read twice, or its tail never",
        &["a_backup_that_is_compressed_and_restarted_upon_is_read_once"],
    ),
    ("a partial gzip wins over its plain file", &["a_gzip_beside_its_backup_is_not_read"]),
    (
        "errors of a partial gzip are swallowed",
        &[
            "a_backup_cut_anywhere_gives_a_prefix_and_goes_on_when_it_is_whole",
            "a_backup_cut_anywhere_gives_a_prefix_and_is_damaged",
        ],
    ),
    (
        "in an outage new files are never opened",
        &["files_that_come_and_go_while_nobody_reads_are_found"],
    ),
    (
        "a rotated file is closed with bytes pending",
        &[
            "a_deleted_backup_is_read_to_its_end",
            "a_deleted_log_is_read_until_the_server_has_another",
        ],
    ),
    (
        "identity is the inode",
        &[
            "gzip_of_a_half_read_backup_resumes_at_the_first_unread_event",
            "small_files_on_reused_inodes_are_read",
        ],
    ),
    (
        "offsets are of compressed bytes",
        &["gzip_of_a_half_read_backup_resumes_at_the_first_unread_event"],
    ),
    (
        "a long line is discarded, or the whole file with it",
        &[
            "events_of_many_megabytes_pass",
            "a_line_that_is_too_long_is_shipped_without_its_bodies_and_what_follows_keeps_its_place",
        ],
    ),
    ("files under 1 KiB are never read", &["small_files_on_reused_inodes_are_read"]),
    (
        "a live file deleted from outside is never noticed",
        &[
            "a_log_that_was_deleted_or_moved_away_is_noticed",
            "a_log_deleted_under_its_server_is_a_gap_after_a_restart",
        ],
    ),
    (
        "backups deleted before they were shipped are not counted",
        &["backups_deleted_while_nobody_ran_are_told_with_their_names_and_all_their_bytes"],
    ),
];

const TESTS: [&str; 8] = [
    include_str!("cut.rs"),
    include_str!("follow.rs"),
    include_str!("gone.rs"),
    include_str!("lines.rs"),
    include_str!("rotation.rs"),
    include_str!("states.rs"),
    include_str!("../file/source_tests.rs"),
    include_str!("../../agent/tests/altered.rs"),
];

#[test]
fn every_state_and_every_way_to_lose_has_a_test() {
    let names = STATES.iter().map(|(_, tests)| tests).chain(PEERS.iter().map(|(_, tests)| tests));
    for name in names.copied().flatten() {
        let written = format!("#[test]\n    fn {name}()");
        let there = |text: &&str| text.replace("#[test]\nfn", "#[test]\n    fn").contains(&written);
        assert!(TESTS.iter().any(there), "there is no test {name}");
    }
    let states: BTreeSet<_> = STATES.iter().map(|(state, _)| *state).collect();
    assert!(states.into_iter().eq(1..=24));
    assert!(STATES.iter().all(|(_, tests)| !tests.is_empty()));
    assert!(PEERS.iter().all(|(_, tests)| !tests.is_empty()));
}
