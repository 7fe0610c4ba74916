//! What terminal programs are known to get wrong, and the tests that show it is not so here. A test that is renamed or
//! goes away is missed. Where a terminal or a process is at stake the program itself is started; what is shown without
//! it is listed.

/// What goes wrong elsewhere, and what shows that it does not here.
const PITFALLS: &[(&str, &[&str])] = &[
    // The life of the terminal.
    (
        "The terminal is given back once, on every way out.",
        &[
            "quitting_gives_the_terminal_back_once",
            "signals_end_it_in_order",
            "a_panic_of_the_console_is_told_on_a_terminal_that_was_given_back",
            "a_panic_of_what_reads_the_keyboard_ends_the_console_as_its_own",
            "ctrl_z_stops_it_and_fg_brings_it_back",
            "a_terminal_that_stops_reading_keeps_nobody_from_leaving",
        ],
    ),
    (
        "An error value that is made gives no terminal back: here the vault and the node fail while pages are shown.",
        &["quitting_gives_the_terminal_back_once", "errors_while_it_is_open_leave_the_terminal_alone"],
    ),
    (
        "A panic of a worker takes no page down.",
        &[
            "a_panic_of_a_worker_takes_nothing_down_and_stands_in_the_log",
            "nobody_waits_for_a_worker_that_failed_inside",
        ],
    ),
    (
        "Exactly the modes that were switched on are switched off.",
        &["quitting_gives_the_terminal_back_once", "a_shell_on_a_node_gets_the_whole_keyboard_and_gives_it_back"],
    ),
    (
        "A terminal that is gone ends the program and burns no processor.",
        &["a_terminal_that_goes_away_ends_it_without_burning_the_processor", "signals_end_it_in_order"],
    ),
    (
        "A reader that goes away is no panic.",
        &[
            "a_reader_that_goes_away_ends_the_output_quietly",
            "a_terminal_that_goes_away_ends_it_without_burning_the_processor",
        ],
    ),
    (
        "Ctrl-z stops the whole group and comes back to a whole page; where nothing brings it back it is refused.",
        &[
            "ctrl_z_stops_it_and_fg_brings_it_back",
            "without_a_shell_below_ctrl_z_is_refused",
            "under_a_script_without_job_control_ctrl_z_is_refused",
            "stopping_while_a_guard_is_armed_is_asked",
            "menus_are_stopped_and_brought_back_by_the_shell_itself",
        ],
    ),
    (
        "Whoever leaves in the middle of a job leaves the node in order too, and hears how it ended.",
        &[
            "every_way_out_in_the_middle_of_a_restore_leaves_terminal_and_node_in_order",
            "who_leaves_is_told_what_could_not_be_undone_and_the_node_does_it_later",
            "cancelled_by_its_key_a_restore_is_undone_and_the_console_stays",
            "stopped_while_a_guard_is_armed_it_warns_first_and_comes_back_to_what_the_node_did",
            "killed_in_the_middle_it_leaves_a_node_that_brings_itself_back_and_a_run_that_is_taken_up",
        ],
    ),
    (
        "Another program that gets the terminal gets all of it, and the page comes back whole.",
        &[
            "a_shell_on_a_node_gets_the_whole_keyboard_and_gives_it_back",
            "what_is_typed_at_ssh_while_it_connects_is_not_meant_for_the_console",
            "menus_hand_the_terminal_to_nobody_and_say_what_to_do_instead",
        ],
    ),
    (
        "Without a terminal it says what to do instead.",
        &["without_a_terminal_it_says_what_to_do_instead", "plain_without_a_terminal_reads_lines"],
    ),
    // Drawing.
    (
        "Nothing is cleared frame by frame; a new size is one update.",
        &["every_frame_is_one_update", "a_storm_of_sizes_ends_in_the_last_one"],
    ),
    ("Nothing is drawn, and nobody wakes up, while nothing moves.", &["idle_it_sleeps"]),
    (
        "Terminals of no size, one column or three rows.",
        &["a_storm_of_sizes_ends_in_the_last_one", "whatever_happens_it_stands"],
    ),
    ("A size that was told late: the last one told counts.", &["a_storm_of_sizes_ends_in_the_last_one"]),
    (
        "Lists longer than a terminal can count are drawn as far as they are seen.",
        &[
            "more_rows_than_a_terminal_can_count_are_drawn_to_the_last",
            "the_log_follows_its_end_and_is_filtered",
            "all_that_lies_on_a_node_can_be_read",
        ],
    ),
    (
        "Wide, combining and joined letters.",
        &[
            "text_is_cut_by_column_and_says_so",
            "whatever_happens_it_stands",
            "full_pages_stand_whatever_happens_and_whoever_answers",
        ],
    ),
    (
        "Light grounds, sixteen colours, none: never colour alone.",
        &[
            "words_can_be_read_on_their_ground_and_in_a_selected_row",
            "mono_has_no_colour_and_no_colour_means_mono",
            "the_default_paints_no_ground",
            "without_colours_none_is_sent_and_without_utf8_only_ascii",
            "a_selection_stays_visible_when_its_ground_is_lost",
            "a_terminal_of_sixteen_colours_is_sent_those_and_no_others",
            "no_word_is_lost_in_its_ground_where_colours_are_few",
        ],
    ),
    ("A key sends what changed, not the page.", &["a_key_sends_what_changed_and_no_more"]),
    // Input.
    (
        "A key that is let go is no second key.",
        &["pastes_are_no_keys_and_neither_are_releases", "releases_and_answers_of_the_terminal_are_no_keys"],
    ),
    (
        "The mouse is off until it is asked for, and its motion is never asked for.",
        &["quitting_gives_the_terminal_back_once"],
    ),
    (
        "What is pasted is text, what was typed ahead answers nothing.",
        &[
            "pastes_are_no_keys_and_neither_are_releases",
            "a_paste_is_text_whatever_is_in_it",
            "pasted_text_is_no_answer",
            "keys_typed_ahead_of_a_question_are_dropped",
            "a_key_answers_no_gate",
        ],
    ),
    (
        "Everything is reached by keys, and the footer shows the operator's own.",
        &["the_exercise_is_done_by_keys_alone", "the_footer_and_the_help_show_the_operator_s_own_keys"],
    ),
    // What others wrote.
    (
        "What a node or a file says drives no terminal, in pages, menus and lines.",
        &[
            "escape_codes_and_overrides_stay_visible_but_harmless",
            "whatever_happens_it_stands",
            "a_name_that_would_drive_a_terminal_is_told_harmlessly",
            "what_a_node_wrote_into_a_failure_cannot_drive_a_terminal",
            "what_a_node_says_drives_no_terminal",
        ],
    ),
    (
        "No title is set, and what is told to the terminal itself holds no word of a node.",
        &[
            "what_a_node_says_drives_no_terminal",
            "a_notice_goes_only_to_terminals_that_show_it_and_cannot_drive_them",
            "a_copy_goes_to_the_terminal_encoded",
        ],
    ),
    // The log, and secrets.
    (
        "Nothing but the page is written to the terminal.",
        &[
            "errors_of_the_process_go_to_the_log_while_it_owns_the_terminal",
            "a_panic_of_a_worker_takes_nothing_down_and_stands_in_the_log",
        ],
    ),
    (
        "A secret is shown, logged and handed on nowhere.",
        &[
            "a_secret_is_given_pasted_cleared_or_declined_and_never_shown",
            "what_is_being_typed_when_a_secret_is_asked_for_is_no_part_of_it",
            "a_passphrase_is_asked_for_once_and_never_shown",
            "variables_that_hold_secrets_reach_no_command_of_the_ssh_configuration",
        ],
    ),
    // Work at the same time.
    (
        "What comes late is not taken for what was asked last.",
        &[
            "a_choice_is_planned_anew_and_never_overtaken",
            "a_stale_plan_runs_nothing_and_is_shown_anew",
            "what_is_asked_over_the_old_inventory_is_told_no_more_once_a_new_one_is_read",
            "a_preview_is_made_anew_and_a_late_plan_of_the_old_inventory_is_nobody_s",
        ],
    ),
    (
        "Nothing works on behind a console that has left.",
        &["signals_end_it_in_order", "an_interrupt_stops_every_run_in_order_and_leaves_nothing"],
    ),
    ("A worker whose reports nobody reads any more ends.", &["a_console_that_is_gone_keeps_no_worker"]),
    (
        "A change that was broken off is looked at before anything follows.",
        &[
            "a_failure_or_cancel_at_any_call_leaves_the_service_sound",
            "every_plan_of_files_survives_a_trip_at_each_step",
            "a_cancelled_script_is_ended_on_the_node",
            "killed_in_the_middle_it_leaves_a_node_that_brings_itself_back_and_a_run_that_is_taken_up",
        ],
    ),
    // SSH.
    (
        "What was killed or cut off is no success.",
        &["a_killed_script_is_never_a_success", "a_cut_connection_is_lost_and_never_an_end"],
    ),
    ("Both streams are read.", &["much_on_both_streams_does_not_jam"]),
    (
        "Nothing waits for ever.",
        &[
            "silence_and_the_whole_have_limits",
            "keys_are_answered_while_the_way_to_a_node_is_asked_for",
            "a_listener_that_never_greets_is_given_up",
            "waiting_in_menus_can_be_interrupted",
        ],
    ),
    (
        "A host's key is the one that is known, of the kind that is known.",
        &["a_host_key_must_be_known_or_pinned_and_never_revoked", "a_host_known_by_its_rsa_key_is_asked_for_that_one"],
    ),
    (
        "A copy is whole or none.",
        &["an_upload_arrives_whole", "a_copy_that_broke_off_anywhere_never_passes_for_a_snapshot"],
    ),
    (
        "Login shells, banners and limits of the server.",
        &["what_a_login_shell_prints_first_reaches_nobody", "too_many_channels_and_no_listener_are_sentences"],
    ),
    // The vault.
    (
        "A crash or a full disk leaves a whole snapshot or none.",
        &[
            "a_crash_at_any_step_leaves_a_whole_snapshot_or_none",
            "a_disk_that_fills_up_while_publishing_leaves_nothing_half",
        ],
    ),
    ("A lease names who holds it, and ends.", &["a_held_lease_names_its_holder_and_ends_by_itself"]),
    ("Vaults of every format that was published stay readable.", &["a_vault_of_format_1_opens_in_full"]),
];

/// What is shown on drawn pages, at a link or in a vault, without the program being started.
const WITHOUT_THE_PROGRAM: &[&str] = &[
    "Lists longer than a terminal can count are drawn as far as they are seen.",
    "Wide, combining and joined letters.",
    "What was killed or cut off is no success.",
    "Both streams are read.",
    "A host's key is the one that is known, of the kind that is known.",
    "A copy is whole or none.",
    "Login shells, banners and limits of the server.",
    "A crash or a full disk leaves a whole snapshot or none.",
    "A lease names who holds it, and ends.",
    "Vaults of every format that was published stay readable.",
];

/// How a file of tests starts the program.
const STARTS: &[&str] =
    &["Start::lifeboat(", "Start::program(", "CARGO_BIN_EXE_lifeboat", "console.run(", "at_a_terminal(", "demo.call("];

/// Every test of the sources, and whether its file starts the program.
fn tests() -> std::collections::BTreeMap<String, bool> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut names = std::collections::BTreeMap::new();
    for dir in ["src", "tests/suite"] {
        for entry in walkdir::WalkDir::new(root.join(dir)) {
            let entry = entry.unwrap();
            if entry.path().extension().is_none_or(|kind| kind != "rs") {
                continue;
            }
            let text = std::fs::read_to_string(entry.path()).unwrap();
            let starts = STARTS.iter().any(|start| text.contains(start));
            let mut is_test = false;
            for line in text.lines().map(str::trim) {
                if line == "#[test]" {
                    is_test = true;
                } else if let Some(rest) = line.strip_prefix("fn ") {
                    let name = rest.split('(').next().unwrap_or_default();
                    if is_test {
                        names.insert(name.to_owned(), starts);
                    }
                    is_test = false;
                }
            }
        }
    }
    names
}

#[test]
fn every_known_pitfall_has_tests_that_are_there() {
    let tests = tests();
    let missing: Vec<_> = PITFALLS
        .iter()
        .flat_map(|(pitfall, shown_by)| shown_by.iter().map(move |test| (pitfall, test)))
        .filter(|(_, test)| !tests.contains_key(**test))
        .collect();
    assert!(missing.is_empty(), "{missing:#?}");
    assert!(PITFALLS.iter().all(|(_, shown_by)| !shown_by.is_empty()));
}

#[test]
fn what_is_shown_without_the_program_is_listed() {
    let tests = tests();
    let is_without = |shown_by: &[&str]| !shown_by.iter().any(|test| tests.get(*test) == Some(&true));
    let without: Vec<_> = PITFALLS.iter().filter(|(_, tests)| is_without(tests)).map(|(pitfall, _)| *pitfall).collect();
    assert_eq!(without, WITHOUT_THE_PROGRAM);
}
