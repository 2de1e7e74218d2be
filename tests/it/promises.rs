//! Lists the tests that prove each guarantee of the documents. It covers every sentence under *Guarantees* in
//! `docs/guarantees-and-limits.md` and in the README, and in the lists of SECURITY.md after the section *Reporting*.
//! Remove a sentence from a document if it has no test here, or if its test is gone.
//!
//! Each line holds the beginning of a sentence and the names of its tests, in the order of the document.

use std::collections::BTreeSet;

use crate::sources::{files, read};

type Promise = (&'static str, &'static [&'static str]);

#[rustfmt::skip] // One line per sentence.
const GUARANTEES: &[Promise] = &[
    ("Every sentence here has a test", &["every_guarantee_has_a_test"]),
    ("Every complete line of the log and its backups", &["whatever_happens_in_whatever_order_each_line_arrives_once", "one_poisonous_line_is_refused_and_its_neighbours_are_delivered_once", "every_recorded_event_is_in_loki_and_elasticsearch_exactly_once"]),
    ("A SIGKILL or a power cut at any moment", &["a_kill_before_or_after_any_step_loses_and_doubles_nothing", "a_power_cut_after_any_step_loses_and_doubles_nothing", "an_output_that_fails_for_long_gets_everything_in_the_end_and_once"]),
    ("Rename, compression, copytruncate and deletion", &["every_event_is_read_once_whatever_happens_to_the_files", "copytruncate_loses_and_doubles_nothing_that_was_copied", "a_deleted_backup_is_read_to_its_end"]),
    ("An answer counts as delivery only if", &["a_sign_in_page_or_a_proxy_in_front_of_a_store_stops_the_output_and_costs_no_event", "an_answer_that_is_not_lokis_neither_delivers_nor_refuses", "documents_count_only_under_the_ids_that_were_sent_and_for_what_was_asked"]),
    ("Two machines with the same names", &["of_two_machines_with_the_same_names_neither_loses_an_event_to_the_other"]),
    ("An upgrade from the ids", &["an_upgrade_from_the_ids_of_version_0_1_0_doubles_nothing", "what_an_earlier_version_left_when_it_was_killed_is_shipped_once"]),
    ("Events inside the lines", &["the_event_in_a_line_of_each_shipper_is_delivered_as_it_was", "an_event_in_any_wrapper_comes_out_whole_and_once", "an_event_in_parts_of_any_size_is_whole_and_once"]),
    ("Nothing is delivered twice", &["kills_at_any_moment_leave_each_line_once_and_in_order", "kills_at_any_moment_lose_and_double_nothing", "ten_kills_and_two_rollovers_lose_nothing_and_double_nothing"]),
    ("Without the right to read, an event", &["without_the_right_to_read_events_may_come_twice_but_none_is_lost"]),
    ("An event has the same id", &["a_copy_elsewhere_has_the_same_positions_under_any_name", "a_generation_is_known_by_its_first_event_only"]),
    ("No output waits for another", &["an_output_that_hangs_delays_no_other", "a_large_line_held_by_a_hung_output_does_not_keep_another_from_its_own"]),
    ("A hard link keeps a backup", &["with_one_backup_kept_a_hung_output_and_a_kill_nothing_is_missing_and_the_links_go", "backups_that_are_deleted_unread_arrive_after_a_restart"]),
    ("When `hold` is spent", &["a_spent_budget_is_a_gap_with_the_unread_bytes_for_each_output_that_waited_and_none_for_the_others"]),
    ("Where no link can be made", &["where_no_link_can_be_made_open_files_are_read_all_the_same", "where_links_cannot_be_made_systemd_keeps_a_deleted_backup_over_a_kill"]),
    ("The agent reports every other loss as a gap", &["backups_deleted_while_nobody_ran_are_told_with_their_names_and_all_their_bytes", "a_torn_line_and_a_hole_are_told_once_with_their_bytes", "a_gzip_that_was_cut_is_told_and_what_stands_before_the_cut_arrives"]),
    ("Each gap is delivered once", &["kills_at_any_moment_tell_each_gap_once", "kills_at_any_moment_leave_each_gap_once_before_the_lines_that_follow_it"]),
    ("A store gets at most one heartbeat", &["each_output_gets_one_heartbeat_in_a_slot_over_kills_and_restarts_and_every_event_once", "in_loki_a_killed_node_is_absent_within_its_time_and_no_event_is_counted_twice", "a_heartbeat_whose_answer_never_comes_holds_up_no_event"]),
    ("A log that lost its end", &["a_log_that_lost_its_end_below_what_was_sent_is_read_on_and_nothing_is_stored_twice"]),
    ("A line above `max_line_bytes`", &["a_line_that_is_too_long_is_shipped_without_its_bodies_and_what_follows_keeps_its_place", "a_shortened_event_says_how_long_it_was"]),
    ("Dead letters are never thrown away", &["when_there_is_no_room_for_refused_events_the_pipeline_stops_within_bounds_and_goes_on_when_room_is_made", "full_dead_letters_stop_the_pipeline_and_dropping_some_lets_it_go_on_by_itself"]),
    ("Memory stays within", &["memory_stays_within_what_status_prints_however_much_waits_for_outputs_that_hang"]),
];

/// The README's short list: the most important guarantees, some of them merged.
#[rustfmt::skip]
const README: &[Promise] = &[
    ("Every complete line of the log and its backups", &["whatever_happens_in_whatever_order_each_line_arrives_once", "one_poisonous_line_is_refused_and_its_neighbours_are_delivered_once", "every_recorded_event_is_in_loki_and_elasticsearch_exactly_once"]),
    ("A SIGKILL, a power cut or an outage of any length", &["a_kill_before_or_after_any_step_loses_and_doubles_nothing", "a_power_cut_after_any_step_loses_and_doubles_nothing", "an_output_that_fails_for_long_gets_everything_in_the_end_and_once"]),
    ("Rename, compression, copytruncate and deletion", &["every_event_is_read_once_whatever_happens_to_the_files", "copytruncate_loses_and_doubles_nothing_that_was_copied", "a_deleted_backup_is_read_to_its_end"]),
    ("Within the `hold` budget, a hard link keeps a backup", &["with_one_backup_kept_a_hung_output_and_a_kill_nothing_is_missing_and_the_links_go", "backups_that_are_deleted_unread_arrive_after_a_restart"]),
    ("The agent delivers nothing twice", &["kills_at_any_moment_leave_each_line_once_and_in_order", "kills_at_any_moment_lose_and_double_nothing", "ten_kills_and_two_rollovers_lose_nothing_and_double_nothing"]),
    ("An answer counts as delivery only if", &["a_sign_in_page_or_a_proxy_in_front_of_a_store_stops_the_output_and_costs_no_event", "an_answer_that_is_not_lokis_neither_delivers_nor_refuses", "documents_count_only_under_the_ids_that_were_sent_and_for_what_was_asked"]),
    ("A part of the log that nobody can read any more becomes a gap", &["backups_deleted_while_nobody_ran_are_told_with_their_names_and_all_their_bytes", "a_torn_line_and_a_hole_are_told_once_with_their_bytes", "kills_at_any_moment_tell_each_gap_once"]),
    ("No output waits for another, and memory stays within", &["an_output_that_hangs_delays_no_other", "memory_stays_within_what_status_prints_however_much_waits_for_outputs_that_hang"]),
];

#[rustfmt::skip]
const SECURITY: &[Promise] = &[
    ("The agent reads its configuration", &["only_the_files_named_here_touch_the_file_system"]),
    ("The agent never reads a file beside the log", &["files_of_others_are_left_alone", "files_of_others_in_the_hold_directory_are_left_alone_and_never_read"]),
    ("The agent reads credential files again", &["a_token_file_that_changes_is_read_again_and_a_broken_one_is_not"]),
    ("The agent never writes to the log", &["the_log_and_its_backups_are_the_same_files_after_a_run_as_before"]),
    ("Beside the log it creates one directory", &["the_log_and_its_backups_are_the_same_files_after_a_run_as_before"]),
    ("It removes its own links only", &["a_link_tells_whose_it_is_and_files_of_others_are_foreign", "files_of_others_in_the_hold_directory_are_left_alone_and_never_read"]),
    ("The state directory has mode 0700", &["the_state_directory_and_all_that_is_in_it_are_for_the_agent_s_user_alone"]),
    ("It holds cursors", &["the_state_directory_and_all_that_is_in_it_are_for_the_agent_s_user_alone"]),
    ("The spool of a webhook", &["a_spool_is_for_the_agent_alone_and_removed_when_every_output_has_passed_it"]),
    ("A file of it is removed", &["a_spool_is_for_the_agent_alone_and_removed_when_every_output_has_passed_it"]),
    ("Hashes of log content", &["a_mark_depends_on_the_bytes_and_on_the_key", "a_file_without_any_event_is_known_by_a_keyed_hash"]),
    ("The agent sends every event to the configured outputs", &["the_defaults_keep_secrets_home_and_tell_who_did_what", "a_log_that_grows_rotates_and_is_compressed_arrives_byte_for_byte"]),
    ("If `heartbeat` is set", &["a_store_that_works_tells_that_another_one_does_not_without_its_words"]),
    ("By default no Secret's value", &["no_secret_of_any_kind_is_in_any_byte_that_leaves", "no_value_of_a_secret_leaves", "no_secret_of_a_pod_leaves", "no_secret_of_an_envelope_leaves"]),
    ("If a place that may hold a secret", &["what_cannot_be_read_where_a_secret_can_stand_is_blanked", "of_torn_and_unreadable_lines_no_byte_leaves_but_fields"]),
    ("Redaction misses a short secret", &["a_short_secret_with_a_neutral_name_is_missed_until_a_rule_names_it"]),
    ("The policy in", &["the_policy_that_ships_keeps_the_bodies_of_secrets_out"]),
    ("The agent sends requests to the configured endpoints only", &["only_one_file_sends_requests"]),
    ("It follows no redirect", &["a_redirect_is_an_answer_and_not_followed", "no_proxy_is_taken_from_the_environment"]),
    ("The agent always verifies TLS certificates", &["a_server_is_trusted_by_its_ca_file_alone"]),
    ("`/metrics`, `/status` and the status page", &["what_is_left_out_takes_the_documented_default"]),
    ("They require no credentials", &["every_route_answers_what_its_reader_expects", "no_secret_of_any_kind_is_in_any_byte_that_leaves"]),
    ("A key that ends in `_file`", &["a_secret_file_is_read_without_its_last_newline", "variables_and_defaults_are_filled_in_once"]),
    ("The agent prints no secret", &["every_kind_of_credentials_is_sent_and_none_is_shown", "credentials_that_do_not_fit_are_told_and_never_shown", "a_password_in_a_url_is_used_and_not_shown"]),
    ("The unit (", &["the_unit_has_no_capability_the_pod_one_and_neither_a_way_to_more", "the_unit_as_it_comes_does_its_work_in_a_real_systemd"]),
    ("The pod (", &["the_unit_has_no_capability_the_pod_one_and_neither_a_way_to_more"]),
    ("The unit may write", &["the_unit_has_no_capability_the_pod_one_and_neither_a_way_to_more", "the_unit_as_it_comes_does_its_work_in_a_real_systemd"]),
    ("At its start the agent confines itself", &["every_thread_of_the_agent_is_confined_and_all_arrives_through_rotations", "below_the_log_backups_are_linked_and_unlinked_and_elsewhere_nothing_is_opened", "each_call_of_the_list_is_refused_and_without_the_filter_the_kernel_looks_at_its_arguments"]),
    ("`systemd/own-user.conf`", &["as_a_user_of_its_own_the_agent_does_its_work_in_a_real_systemd"]),
    ("A client of the API server cannot forge", &["a_client_cannot_forge_an_event_inside_a_torn_one", "a_client_cannot_fill_the_log_with_its_name", "a_generation_is_known_by_its_first_event_only", "an_id_is_32_characters_and_differs_for_damage_at_the_same_place", "labels_are_sorted_and_quoted_and_the_hour_is_one_of_them"]),
    ("The agent stores an event with an unusual body", &["a_hostile_line_goes_out_in_safe_form_with_its_fields_and_its_whole_text", "events_with_hostile_bodies_are_found_in_both_and_their_neighbours_are_as_usual"]),
    ("No byte sequence", &["the_pieces_of_any_line_cover_it", "cut_or_changed_events_never_panic_and_cover_the_line", "every_answer_in_the_corpus_has_a_verdict_that_holds", "a_checkpoint_damaged_at_any_byte_falls_back_to_the_one_before_or_to_none", "no_bytes_make_the_reading_panic_or_read_what_nobody_wrote", "hostile_lines_cost_what_their_length_costs"]),
    ("Nobody can make the agent read a file", &["a_link_is_followed_only_where_its_maker_could_read_what_it_leads_to", "what_a_stranger_puts_among_the_backups_is_named_and_never_read_and_the_log_goes_on"]),
    ("If a FIFO, a device", &["nothing_but_a_regular_file_is_opened_and_nothing_is_waited_for", "whatever_is_exchanged_under_a_name_the_file_itself_is_read_or_nothing_is", "what_a_stranger_puts_among_the_backups_is_named_and_never_read_and_the_log_goes_on"]),
    ("If somebody else renames", &["what_is_done_in_an_own_directory_is_done_there_whoever_puts_another_in_its_place", "an_own_directory_is_closed_to_others_and_one_of_somebody_else_is_refused"]),
    ("If a small file unpacks", &["a_small_file_that_unpacks_to_gigabytes_of_nothing_is_a_gap_and_holds_nothing_up"]),
    ("If the file system blocks a thread", &["a_thread_that_the_file_system_keeps_waiting_is_named_within_seconds_and_left_behind_at_the_end"]),
    ("An answer counts as delivery, refusal", &["no_answer_delivers_refuses_leaks_or_fills_memory_that_the_store_did_not_give"]),
    ("The agent redacts credentials", &["check_shows_no_credentials_whatever_the_back_ends_repeat", "no_place_of_a_running_agent_shows_credentials_that_the_back_ends_repeat", "what_was_rotated_and_what_is_in_urls_is_blanked_too"]),
    ("It shows URLs", &["what_was_rotated_and_what_is_in_urls_is_blanked_too", "a_part_of_a_path_that_may_be_a_token_is_not_shown"]),
    ("It does not recognise a secret", &["a_short_secret_is_blanked_only_where_credentials_stand"]),
    ("If somebody has already taken an id", &["nobody_makes_an_event_vanish_by_taking_its_id_beforehand", "of_two_machines_with_the_same_names_neither_loses_an_event_to_the_other"]),
    ("Somebody who may write to the store", &["nobody_makes_an_event_vanish_by_taking_its_id_beforehand", "another_document_under_an_id_of_version_0_1_0_is_not_taken_for_the_event"]),
    ("No number of connections", &["every_probe_is_answered_while_one_client_holds_hundreds_of_silent_slow_and_unread_connections", "two_hundred_idle_local_connections_keep_neither_status_nor_a_probe_from_an_answer"]),
    ("A web page in a browser", &["a_name_that_a_stranger_may_own_is_refused_on_every_page_with_the_key_that_allows_it", "a_name_in_allowed_hosts_reaches_the_pages_and_another_does_not"]),
    ("The pages show the class", &["no_page_shows_a_word_of_a_hostile_answer_and_the_socket_shows_what_the_answer_says", "of_an_answer_everybody_sees_its_class_and_none_of_its_words"]),
    ("No output writes", &["an_output_into_a_file_of_the_agent_or_of_its_configuration_is_refused", "an_output_among_the_logs_is_refused_by_whatever_name", "two_outputs_in_one_file_or_in_each_other_s_rotated_ones_are_refused", "where_others_write_a_link_a_second_name_and_a_fifo_are_refused_untouched"]),
    ("Before it uses the state directory", &["what_is_too_open_is_closed_and_whoever_only_looks_closes_nothing", "a_state_directory_that_kubelet_made_is_closed_to_other_users_and_check_says_so_before"]),
    ("It refuses a directory or file of another user", &["what_belongs_to_another_user_is_refused", "a_key_or_checkpoint_that_others_may_have_changed_is_refused", "links_that_another_user_planted_are_not_written_through"]),
    ("Checkpoints are authenticated", &["a_forged_checkpoint_is_named_and_not_used", "a_cursor_that_somebody_moved_passes_over_no_event_and_shows"]),
    ("Errors about the configuration", &["words_numbers_paths_and_addresses_are_repeated_and_nothing_else", "errors_of_usage_repeat_no_secret"]),
    ("`auditrail check` fails", &["a_configuration_that_others_can_write_fails_check_and_is_said_at_the_start", "check_warns_of_what_others_can_read_or_write_and_of_secrets_in_the_clear"]),
    ("The crate has no `unsafe` code", &["unsafe_code_is_forbidden"]),
    ("The image holds the program", &["the_image_holds_the_binary_and_certificates_for_each_architecture"]),
];

/// Splits the prose of a document into sentences: of each paragraph and each list item, without headings.
fn sentences(text: &str) -> Vec<String> {
    let mut paragraphs = vec![String::new()];
    for line in text.lines() {
        let item = line.strip_prefix("- ");
        if item.is_some() || line.is_empty() || line.starts_with('#') {
            paragraphs.push(String::new());
        }
        if !line.starts_with('#') {
            let paragraph = paragraphs.last_mut().unwrap();
            paragraph.push_str(item.unwrap_or(line).trim());
            paragraph.push(' ');
        }
    }
    let mut found = Vec::new();
    for paragraph in paragraphs {
        let mut rest = paragraph.trim();
        while let Some(end) = end_of_sentence(rest) {
            found.push(rest[..end].to_owned());
            rest = rest[end..].trim_start();
        }
        if !rest.is_empty() {
            found.push(rest.to_owned());
        }
    }
    found
}

/// The offset behind the first period that ends a sentence and is followed by another one.
fn end_of_sentence(text: &str) -> Option<usize> {
    text.match_indices(". ").map(|(at, _)| at + 1).find(|at| {
        let next = text[*at..].trim_start().chars().next();
        next.is_some_and(|c| c.is_uppercase() || matches!(c, '`' | '*' | '['))
    })
}

/// The names of all tests in `src` and `tests`.
fn tests() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for path in ["events/src", "src", "tests"].iter().flat_map(|folder| files(folder, "rs")) {
        let text = read(path);
        let mut lines = text.lines().map(str::trim);
        while let Some(line) = lines.next() {
            if !line.starts_with("#[") || !(line.ends_with("test]") || line.contains("::test(")) {
                continue;
            }
            // Skip other attributes before the function.
            let name =
                lines.find(|line| !line.starts_with("#[")).and_then(|line| line.split_once("fn "));
            found.extend(name.and_then(|(_, rest)| Some(rest.split_once('(')?.0.to_owned())));
        }
        // This finds the tests inside `proptest!` too, since they have the same attribute.
    }
    found
}

fn check(document: &str, section: &str, promises: &[Promise]) {
    let tests = tests();
    let sentences = sentences(section);
    for (at, sentence) in sentences.iter().enumerate() {
        let Some((beginning, proofs)) = promises.get(at) else {
            panic!("{document}: no test is named for: {sentence}");
        };
        assert!(
            sentence.starts_with(beginning),
            "{document}: expected a sentence that begins with\n  {beginning}\nand found\n  {sentence}"
        );
        assert!(!proofs.is_empty(), "{document}: nothing proves: {sentence}");
        for proof in *proofs {
            assert!(
                tests.contains(*proof),
                "there is no test {proof}, which is to prove: {sentence}"
            );
        }
    }
    assert_eq!(sentences.len(), promises.len(), "{document}: more is promised here than there");
}

#[test]
fn every_guarantee_has_a_test() {
    let lists = [("docs/guarantees-and-limits.md", GUARANTEES), ("README.md", README)];
    for (document, promises) in lists {
        let text = read(document);
        let section = text.split("\n## Guarantees\n").nth(1).unwrap();
        check(document, section.split("\n## ").next().unwrap(), promises);
    }
}

#[test]
fn every_sentence_about_security_has_a_test() {
    let text = read("SECURITY.md");
    let sections = text.split("\n## Reporting\n").nth(1).unwrap();
    let (_, sections) = sections.split_once("\n## ").unwrap();
    // The text around the lists promises nothing: it says who has which rights, and what nobody can prevent.
    let in_list = |line: &&str| line.starts_with("- ") || line.starts_with("  ");
    let promised: Vec<_> = sections.lines().filter(in_list).collect();
    check("SECURITY.md", &promised.join("\n"), SECURITY);
}

#[test]
fn the_unit_has_no_capability_the_pod_one_and_neither_a_way_to_more() {
    let unit = read("systemd/auditrail.service");
    for line in [
        "CapabilityBoundingSet=",
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "PrivateDevices=yes",
        "PrivateMounts=yes",
        "DevicePolicy=closed",
        "ProtectProc=invisible",
        "ProcSubset=pid",
        "SystemCallFilter=@system-service",
        "StateDirectory=auditrail",
        "StateDirectoryMode=0700",
    ] {
        assert!(unit.lines().any(|found| found == line), "the unit lacks {line}");
    }
    let writable: Vec<_> =
        unit.lines().filter_map(|line| line.strip_prefix("ReadWritePaths=-")).collect();
    let logs = [
        "/var/log/kubernetes/audit",
        "/var/lib/rancher/rke2/server/logs",
        "/var/lib/rancher/k3s/server/logs",
    ];
    assert_eq!(writable, logs, "beside the state directory only where logs are");
    let pods = files("etc/kubernetes/overlays", "yaml").into_iter();
    let pods = pods.filter(|path| path.ends_with("auditrail.yaml"));
    for path in pods.chain(["etc/kubernetes/daemonset.yaml".into()]) {
        let pod = read(&path);
        for line in [
            "allowPrivilegeEscalation: false",
            "privileged: false",
            "readOnlyRootFilesystem: true",
            "automountServiceAccountToken: false",
            "type: RuntimeDefault",
        ] {
            let found = pod.lines().any(|found| found.trim() == line);
            assert!(found, "{}: the pod lacks {line}", path.display());
        }
        let capabilities: Vec<_> = pod
            .lines()
            .skip_while(|line| line.trim() != "capabilities:")
            .map(str::trim)
            .take_while(|line| *line != "privileged: false")
            .collect();
        let on_talos = path.ends_with("talos/auditrail.yaml");
        let own: &[_] = if on_talos { &["- FOWNER"] } else { &[] };
        let wanted =
            [&["capabilities:", "add:", "- DAC_READ_SEARCH"], own, &["drop:", "- ALL"]].concat();
        assert_eq!(capabilities, wanted, "{}", path.display());
    }
}

/// With `forbid` the compiler refuses all unsafe code, and no attribute in the sources can allow it again.
#[test]
fn unsafe_code_is_forbidden() {
    assert!(read("Cargo.toml").contains("\n[lints.rust]\nunsafe_code = \"forbid\"\n"));
}

/// Documents and manifests must all name the same container image, of this version.
#[test]
fn every_document_and_manifest_names_the_same_image() {
    let mut count = 0;
    let documents = crate::sources::documents().into_iter().chain(files("etc", "yaml"));
    for path in documents {
        let text = read(&path);
        for (at, _) in text.match_indices("auditrail:0.") {
            let from = text[..at].rfind(|c: char| " \"`\n".contains(c)).map_or(0, |at| at + 1);
            let name = text[from..].split(|c: char| " \"`\n".contains(c)).next().unwrap();
            let name = name.trim_start_matches("docker://");
            let wanted = concat!("registry.example.org/auditrail:", env!("CARGO_PKG_VERSION"));
            assert_eq!(name, wanted, "{}", path.display());
            count += 1;
        }
    }
    assert!(count >= 4, "{count}");
}
