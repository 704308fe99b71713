//! Each limit, with a guest that runs into it. The Worker takes the next input, and the host and
//! the other Workers do not notice.

use worker_runtime::RuntimeBuildError;
use worker_types::{
    FailureKind, IfBusy, Input, InputOptions, ItemBody, Limits, LogStream, Outcome, RuntimeError,
    ToolOutcome, WorkerStatus,
};

use crate::{components, files, harness::*, malformed, shell};

/// Names the test of each limit. A limit that is not in the list, and a test that does not exist,
/// fail the build of the tests.
macro_rules! every_limit {
    ($($limit:ident => $test:path,)*) => {
        #[test]
        fn every_limit_has_its_test() {
            let Limits { $($limit: _,)* } = Limits::default();
            let tests: &[(&str, fn())] = &[$((stringify!($limit), $test),)*];
            assert!(!tests.is_empty());
        }
    };
}

every_limit! {
    turn_wall_ms => turn_wall_ms_ends_a_guest_that_sleeps,
    turn_cpu_ms => turn_cpu_ms_ends_a_guest_that_spins,
    turn_memory_bytes => turn_memory_bytes_ends_a_guest_that_grows,
    turn_table_elements => components::memories_count_together_and_instances_and_tables_are_bounded,
    turn_instances => components::memories_count_together_and_instances_and_tables_are_bounded,
    host_call_bytes => host_call_bytes_bounds_what_one_call_carries,
    turn_handles => turn_handles_bounds_the_resources_a_guest_holds,
    turn_file_bytes => files::turn_file_bytes_bounds_what_a_turn_writes_to_the_operators_disk,
    turn_open_files => files::turn_open_files_bounds_what_a_guest_holds_open,
    scratch_bytes => files::scratch_bytes_bounds_files_names_and_holes,
    open_files => files::open_files_bounds_what_all_turns_hold_open,
    turn_commands => shell::turn_commands_and_live_commands_bound_what_runs_at_once,
    live_commands => shell::turn_commands_and_live_commands_bound_what_runs_at_once,
    turn_output_bytes => shell::turn_output_bytes_bounds_what_scripts_write,
    turn_log_bytes => turn_log_bytes_cuts_a_flood_of_output_and_says_so,
    item_bytes => item_bytes_bounds_what_a_guest_says_at_once_and_in_pieces,
    turn_record_bytes => turn_record_bytes_bounds_what_a_turn_adds_to_the_log,
    events_per_second => events_per_second_makes_a_guest_that_floods_wait,
    state_bytes => state_bytes_bounds_what_a_guest_keeps,
    queue => queue_bounds_the_inputs_that_wait,
    live_turns => live_turns_make_later_turns_wait_and_not_fail,
    memory_total => memory_total_makes_later_turns_wait_and_not_fail,
    workers => workers_bounds_how_many_are_kept,
    component_bytes => components::component_bytes_bounds_what_is_compiled,
    compile_ms => malformed::compile_ms_ends_the_helper_that_takes_longer,
    compile_memory_bytes => malformed::compile_memory_bytes_ends_the_helper_that_takes_more,
}

/// Runs `command` under `limits`; it must end as `kind` with a reason that contains `reason`, and
/// the Worker must go on.
async fn check(limits: Limits, command: &str, kind: FailureKind, reason: &str) {
    let runtime = runtime_with_limits(limits).await;
    let id = worker(&runtime, "base").await;
    let outcome = turn(&runtime, id, command).await;
    let Outcome::Failed { kind: ended, message } = &outcome else {
        panic!("{command}: {outcome:?}")
    };
    assert_eq!(*ended, kind, "{command}: {message}");
    assert!(message.contains(reason), "{command}: {message}");
    assert_eq!(turn(&runtime, id, "print: next").await, Outcome::Completed);
}

#[tokio::test]
async fn turn_cpu_ms_ends_a_guest_that_spins() {
    let limits = Limits { turn_cpu_ms: 50, ..Limits::default() };
    check(limits.clone(), "spin", FailureKind::Limit, "limit of 50 ms").await;
    check(limits, "spin-in-host-calls", FailureKind::Limit, "limit of 50 ms").await;
}

#[tokio::test]
async fn turn_wall_ms_ends_a_guest_that_sleeps() {
    let limits = Limits { turn_wall_ms: 50, ..Limits::default() };
    check(limits, "sleep: 600000", FailureKind::Limit, "limit of 50 ms").await;
}

#[tokio::test]
async fn turn_memory_bytes_ends_a_guest_that_grows() {
    let limits = Limits { turn_memory_bytes: 16 << 20, ..Limits::default() };
    check(limits.clone(), "hog: 64", FailureKind::Limit, "limit of 16777216 bytes").await;

    // A guest that asks before it takes learns that there is no more, and goes on.
    let runtime = runtime_with_limits(limits).await;
    let id = worker(&runtime, "base").await;
    assert_eq!(turn(&runtime, id, "grow: 64").await, Outcome::Completed);
    let said = said(&runtime, id).await.pop().expect("an answer");
    let got: u32 = said.split(' ').nth(1).and_then(|n| n.parse().ok()).expect("a number");
    assert!((8..16).contains(&got), "{said}");
}

#[tokio::test]
async fn infinite_recursion_ends_the_guest_alone() {
    check(Limits::default(), "recurse", FailureKind::Trap, "trapped").await;
}

#[tokio::test]
async fn host_call_bytes_bounds_what_one_call_carries() {
    let limits = Limits { host_call_bytes: 64 << 10, ..Limits::default() };
    check(limits, "say: 100000", FailureKind::Trap, "trapped").await;
}

#[tokio::test]
async fn turn_handles_bounds_the_resources_a_guest_holds() {
    let limits = Limits { turn_handles: 10, ..Limits::default() };
    check(limits, "handles: 15", FailureKind::Trap, "trapped").await;
}

#[tokio::test]
async fn random_bytes_are_bounded_per_call() {
    check(Limits::default(), "random: 100000000", FailureKind::Trap, "trapped").await;
}

#[tokio::test]
async fn item_bytes_bounds_what_a_guest_says_at_once_and_in_pieces() {
    let limits = Limits { item_bytes: 1_000, ..Limits::default() };
    check(limits.clone(), "say: 1001", FailureKind::Guest, "at most 1000 bytes").await;
    check(limits, "utter-many: 1001", FailureKind::Guest, "at most 1000 bytes").await;
}

#[tokio::test]
async fn tools_have_bounded_names_and_results_and_every_call_has_its_result() {
    let runtime = runtime_with_limits(Limits { item_bytes: 1_000, ..Limits::default() }).await;
    let refused = answer(&runtime, "base", "tool-name: 257").await;
    assert!(refused.contains("at most 256 bytes"), "{refused}");

    let id = worker(&runtime, "base").await;
    turn(&runtime, id, "tool-big: 1001").await;
    let refused = said(&runtime, id).await.pop().expect("an answer");
    assert!(refused.contains("at most 1000 bytes"), "{refused}");
    let page = runtime.transcript(id, Default::default()).await.expect("a transcript");
    let results: Vec<_> = page
        .items
        .iter()
        .filter_map(|item| match &item.body {
            ItemBody::ToolResult { outcome, text, .. } => Some((*outcome, text.as_str())),
            _ => None,
        })
        .collect();
    let [(ToolOutcome::Error, text)] = results[..] else { panic!("{results:?}") };
    assert!(text.contains("cannot be kept"), "{text}");
}

#[tokio::test]
async fn utterances_that_stay_open_are_few() {
    check(Limits::default(), "handles: 17", FailureKind::Guest, "16 utterances open").await;
}

#[tokio::test]
async fn a_key_of_a_megabyte_is_no_key_of_the_state() {
    assert_eq!(answer(&runtime().await, "base", "state-get-big: 1000000").await, "(none)");
}

#[tokio::test]
async fn turn_record_bytes_bounds_what_a_turn_adds_to_the_log() {
    let limits = Limits { turn_record_bytes: 10_000, ..Limits::default() };
    check(limits.clone(), "say-many: 1000", FailureKind::Guest, "at most 10000 bytes").await;
    check(limits, "utter-many: 10000", FailureKind::Guest, "at most 10000 bytes").await;
}

#[tokio::test]
async fn events_per_second_makes_a_guest_that_floods_wait() {
    let limits = Limits { events_per_second: 10, turn_wall_ms: 500, ..Limits::default() };
    let runtime = runtime_with_limits(limits).await;
    let id = worker(&runtime, "base").await;
    let outcome = turn(&runtime, id, "say-many: 100000").await;
    assert!(matches!(outcome, Outcome::Failed { kind: FailureKind::Limit, .. }), "{outcome:?}");
    // Ten at once, and then ten for every second that the turn really took.
    let said = said(&runtime, id).await.len() as u64;
    let wall_us = runtime.worker(id).expect("the Worker").usage.wall_us;
    assert!((10..=11 + wall_us / 100_000).contains(&said), "{said} in {wall_us} µs");
}

#[tokio::test]
async fn a_failure_message_is_bounded() {
    let runtime = runtime_with_limits(Limits::default()).await;
    let id = worker(&runtime, "base").await;
    let outcome = turn(&runtime, id, &format!("fail: {}", "x".repeat(100_000))).await;
    let Outcome::Failed { message, .. } = outcome else { panic!("{outcome:?}") };
    assert!(message.len() <= 4_096);
}

#[tokio::test]
async fn state_bytes_bounds_what_a_guest_keeps() {
    let limits = Limits { state_bytes: 1_000, ..Limits::default() };
    check(limits, "state-big: 1001", FailureKind::Guest, "limit of 1000 bytes").await;
}

#[tokio::test]
async fn turn_log_bytes_cuts_a_flood_of_output_and_says_so() {
    let limits = Limits { turn_log_bytes: 1_000, ..Limits::default() };
    let runtime = runtime_with_limits(limits).await;
    let id = worker(&runtime, "base").await;
    for command in ["stdout: 10000000", "stderr: 10000000"] {
        let turn_id = send(&runtime, id, command).await;
        assert_eq!(runtime.outcome(id, turn_id).await, Ok(Outcome::Completed));
        let lines = runtime.logs(id, Some(turn_id)).await.expect("logs").lines;
        let kept: usize = lines.iter().map(|line| line.text.len()).sum();
        assert!(kept < 1_200, "{kept} bytes kept");
        let last = lines.last().expect("a line");
        assert_eq!(last.stream, LogStream::Host);
        assert!(last.text.contains("were dropped"), "{}", last.text);
    }
}

#[tokio::test]
async fn queue_bounds_the_inputs_that_wait() {
    let runtime = runtime_with_limits(Limits { queue: 2, ..Limits::default() }).await;
    let id = worker(&runtime, "base").await;
    send(&runtime, id, "spin").await;
    let wait =
        |if_busy| runtime.input(id, Input::text("print: waited"), InputOptions::if_busy(if_busy));
    let queued = wait(IfBusy::Queue).await.expect("the first waits");
    wait(IfBusy::Steer).await.expect("so does the second");
    for if_busy in [IfBusy::Queue, IfBusy::Steer] {
        let refused = wait(if_busy).await;
        assert!(matches!(refused, Err(RuntimeError::Capacity { .. })), "{refused:?}");
    }
    runtime.cancel(id, None).await.expect("cancelled");
    assert_eq!(runtime.outcome(id, queued.turn_id).await, Ok(Outcome::Completed));
    let steered = queued.turn_id.next();
    assert_eq!(runtime.outcome(id, steered).await, Ok(Outcome::Completed));
}

#[tokio::test]
async fn memory_total_makes_later_turns_wait_and_not_fail() {
    let turn_memory_bytes = 16 << 20;
    let memory_total = 2 * turn_memory_bytes - 1;
    let limits = Limits { turn_memory_bytes, memory_total, ..Limits::default() };
    let runtime = runtime_with_limits(limits).await;
    let first = worker(&runtime, "base").await;
    let second = worker(&runtime, "base").await;
    send(&runtime, first, "spin").await;
    let waiting = send(&runtime, second, "grow: 1").await;
    let status = runtime.worker(second).expect("the Worker").status;
    assert_eq!(status, WorkerStatus::Running { turn_id: waiting });
    let started = log(&runtime, second)
        .await
        .iter()
        .any(|event| matches!(event.body, worker_types::EventBody::TurnStarted { .. }));
    assert!(!started, "there is memory for one turn");
    runtime.cancel(first, None).await.expect("cancelled");
    assert_eq!(runtime.outcome(second, waiting).await, Ok(Outcome::Completed));

    let limits =
        Limits { memory_total: turn_memory_bytes - 1, turn_memory_bytes, ..Limits::default() };
    let refused = builder().limits(limits).build().await.expect_err("no turn could run");
    assert!(matches!(refused, RuntimeBuildError::NoRoomForTurns { .. }), "{refused:?}");
    let says = refused.to_string();
    for line in ["[limits]", "memory_total", "16777216", "turn_memory_bytes", "16777215"] {
        assert!(says.contains(line), "{says}");
    }
}

#[tokio::test]
async fn live_turns_make_later_turns_wait_and_not_fail() {
    let runtime = runtime_with_limits(Limits { live_turns: 1, ..Limits::default() }).await;
    let first = worker(&runtime, "base").await;
    let second = worker(&runtime, "base").await;
    send(&runtime, first, "spin").await;
    let waiting = send(&runtime, second, "print: at last").await;
    let third = worker(&runtime, "base").await;
    let cancelled = send(&runtime, third, "print: never").await;
    runtime.cancel(third, Some(cancelled)).await.expect("a waiting turn can be cancelled");
    assert!(!runtime.outcome(third, cancelled).await.expect("an outcome").is_completed());
    runtime.cancel(first, None).await.expect("cancelled");
    assert_eq!(runtime.outcome(second, waiting).await, Ok(Outcome::Completed));
}

#[tokio::test]
async fn workers_bounds_how_many_are_kept() {
    let runtime = runtime_with_limits(Limits { workers: 1, ..Limits::default() }).await;
    worker(&runtime, "echo").await;
    let refused = runtime.create(worker_types::CreateWorker::profile(name("echo"))).await;
    assert!(matches!(refused, Err(RuntimeError::Capacity { .. })), "{refused:?}");
}
