//! What every host of Workers does alike, as tests over [`Operations`](crate::operations::Operations).
//!
//! ```text
//! async fn my_host(setting: Setting) -> MyHost { … }
//! test_support::conformance_tests!(crate::my_host);
//! ```
//!
//! A host under test has the profiles `echo` (the built-in echo Worker) and `base`
//! ([`test_guests::HOSTILE_BASE`], which does what its input says); with [`Setting::companion`] also
//! `companion`, which imports `llm`, and with [`Setting::shell`] the built-in `shell`. Its ceiling is a private directory for each Worker, and nothing
//! else. It is new: no Worker lives in it.

pub mod authority;
pub mod creation;
pub mod cursors;
pub mod errors;
pub mod feed;
mod guest;
pub mod idempotency;
pub mod lifecycle;
pub mod live;
pub mod queue;
pub mod races;
pub mod retention;
pub mod scripts;
pub mod steering;
pub mod transcripts;
pub mod usage;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use worker_types::{Limits, Retention};

/// The longest a test may take: a hundred times what it needs on an idle machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How a test wants its host to be.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Setting {
    /// The bounds to enforce.
    pub limits: Limits,
    /// How long to keep events.
    pub retention: Retention,
    /// Whether there is a profile `companion`.
    pub companion: bool,
    /// Whether there is a profile `shell`, and `shell` within the ceiling.
    pub shell: bool,
}

/// Makes the conformance suite into tests of the hosts that a function makes: an
/// `async fn(Setting) -> impl Operations`, named by its path from the crate's root.
#[macro_export]
macro_rules! conformance_tests {
    ($host:path) => {
        $crate::conformance_group!(
            $host,
            authority,
            [
                a_component_is_kept_until_nothing_goes_by_it_and_somebody_removes_it,
                a_private_directory_is_kept_between_turns_and_seen_by_its_worker,
                a_revoked_grant_ends_the_turn_and_is_gone_from_the_next,
                a_worker_is_upgraded_between_turns_to_what_its_grants_allow,
                grants_that_contradict_themselves_are_refused,
            ]
        );
        $crate::conformance_group!(
            $host,
            creation,
            [
                a_first_input_is_in_the_commit_that_creates_its_worker,
                a_worker_is_as_it_was_asked_for,
                names_and_labels_out_of_bounds_are_refused_and_create_nothing,
                workers_are_listed_in_pages_by_label_and_status,
            ]
        );
        $crate::conformance_group!(
            $host,
            cursors,
            [
                cursors_of_the_future_and_of_another_log_are_refused,
                feed_cursors_of_the_future_and_of_another_log_are_refused,
                pages_of_a_log_follow_one_another,
                an_event_survives_its_json,
            ]
        );
        $crate::conformance_group!(
            $host,
            errors,
            [
                a_grant_beyond_the_ceiling_is_refused_with_what_exceeds,
                a_missing_grant_is_refused_with_the_import_and_the_capability,
                an_unknown_profile_is_refused_with_those_that_exist,
                every_operation_on_an_unknown_worker_says_so,
                inputs_that_say_nothing_are_refused,
                inputs_that_say_too_much_are_refused_with_the_limit,
                more_workers_than_the_limit_are_refused_and_a_deletion_makes_room,
                what_does_not_exist_cannot_be_asked_for,
            ]
        );
        $crate::conformance_group!(
            $host,
            feed,
            [
                a_deletion_stands_in_the_feed_and_ends_what_was_there,
                a_reader_of_the_feed_goes_on_from_its_cursor,
                the_feed_has_every_event_in_the_order_of_commits,
                whoever_waits_at_the_end_of_the_feed_is_woken,
            ]
        );
        $crate::conformance_group!(
            $host,
            idempotency,
            [
                a_creation_with_a_key_happens_once_however_often_it_is_asked_for,
                a_key_holds_while_its_worker_is_stopped,
                a_key_with_another_request_is_a_conflict,
                a_refusal_is_not_remembered,
                an_input_with_a_key_happens_once_however_often_it_is_asked_for,
                keys_of_other_principals_operations_and_workers_do_not_meet,
            ]
        );
        $crate::conformance_group!(
            $host,
            lifecycle,
            [
                a_cancelled_turn_ends_and_the_worker_takes_the_next_input,
                a_deleted_worker_is_unknown_as_soon_as_that_is_answered,
                a_stop_ends_what_runs_and_cancels_what_waits,
                a_stopped_worker_takes_nothing_until_it_is_started,
                cancel_of_a_queued_input_ends_that_one_alone,
                cancel_of_another_turn_or_of_none_changes_nothing,
                every_way_a_guest_fails_ends_its_turn_with_a_reason,
                only_a_stopped_worker_can_be_deleted,
                readers_of_a_deleted_worker_are_told,
                what_a_guest_prints_is_in_the_logs_of_its_turn,
            ]
        );
        $crate::conformance_group!(
            $host,
            live,
            [
                a_reader_from_the_start_sees_text_grow_and_every_event_once,
                a_reader_sees_no_text_that_a_cancelled_item_does_not_keep,
                a_reader_who_falls_behind_is_served_from_the_log,
                a_stream_goes_on_from_the_cursor_of_another,
                who_attaches_in_the_middle_gets_the_text_so_far_and_then_the_rest,
            ]
        );
        $crate::conformance_group!(
            $host,
            queue,
            [
                a_busy_worker_refuses_with_the_turn_that_runs,
                a_full_queue_refuses_and_can_be_tried_again,
                of_a_hundred_inputs_at_once_exactly_one_runs,
                queued_inputs_have_their_turns_in_order,
                a_hundred_inputs_queued_at_once_all_run_in_order,
            ]
        );
        $crate::conformance_group!(
            $host,
            races,
            [
                cancel_against_the_end_of_a_turn_leaves_one_end,
                commands_of_every_kind_at_once_leave_a_sound_log,
                input_against_cancel_loses_nothing_that_was_accepted,
                stop_against_the_end_of_a_turn_leaves_one_end,
            ]
        );
        $crate::conformance_group!(
            $host,
            retention,
            [
                a_reader_behind_the_trimmed_log_is_told_where_it_begins,
                nothing_is_removed_that_the_bounds_allow,
                the_feed_tells_of_removals,
                transcript_state_and_usage_outlive_the_events_they_came_from,
            ]
        );
        $crate::conformance_group!(
            $host,
            scripts,
            [
                a_cancel_ends_the_script,
                a_script_is_said_and_its_code_is_the_outcome,
                without_the_grant_there_are_no_scripts,
            ]
        );
        $crate::conformance_group!(
            $host,
            steering,
            [
                an_input_that_steers_an_idle_worker_starts_a_turn,
                an_input_that_the_turn_takes_in_is_a_part_of_it,
                inputs_that_the_turn_leaves_have_turns_of_their_own,
                steering_and_queue_do_not_mix_up_inputs_that_say_the_same,
                what_was_steered_and_left_is_cancelled_by_a_stop,
            ]
        );
        $crate::conformance_group!(
            $host,
            transcripts,
            [
                a_long_item_is_cut_on_a_page_and_whole_by_its_id,
                a_page_is_bounded_in_bytes_and_never_empty,
                a_transcript_reads_alike_in_both_directions,
                the_transcript_is_the_fold_of_the_log,
            ]
        );
        $crate::conformance_group!(
            $host,
            usage,
            [
                usage_of_turns_workers_and_the_runtime_adds_up,
                turns_are_shown_in_pages_from_the_newest_back,
            ]
        );
    };
}

/// Makes the tests of one module of the suite; see [`conformance_tests!`].
#[macro_export]
macro_rules! conformance_group {
    ($host:path, $group:ident, [$($name:ident),* $(,)?]) => {
        mod $group {
            $(
                #[tokio::test]
                async fn $name() {
                    let host = $host($crate::conformance::$group::setting()).await;
                    let test = $crate::conformance::$group::$name(&host);
                    let ended = tokio::time::timeout($crate::conformance::PATIENCE, test).await;
                    ended.expect("the test ends in time");
                }
            )*
        }
    };
}
