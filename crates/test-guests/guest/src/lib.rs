//! A guest that does what its input says, however bad.
//!
//! The input is `command` or `command: argument`; what is no command is echoed.
//!
//! - Using up: `spin`, `spin-in-host-calls`, `sleep: MS`, `grow: MIB`, `hog: MIB`, `recurse`, `handles: N`,
//!   `say: BYTES`, `say-many: N`, `utter-many: N`, `state-big: BYTES`, `stdout: BYTES`,
//!   `stderr: BYTES`, `random: BYTES`.
//! - For ever: `fill: MIB`, `flood`, `flood-text`, `flood-state`, `flood-tools`, `flood-stdout`.
//! - Ending badly: `trap`, `panic: TEXT`, `fail: TEXT`, `exit: CODE` (WASI keeps of the code only
//!   whether it is 0), `utter-hang`, `tool-trap`.
//! - Transcript: `utter: A|B|C`, `utter-drop: TEXT`, `tool`, `tool: JSON`, `tool-fail: TEXT`,
//!   `tool-id`, `tool-drop`, `tool-big: BYTES`, `tool-name: BYTES`, `tool-take: CALL_ID` (twice), `history`,
//!   `history: LIMIT`, `say-history: TEXT`, `steering`.
//! - Turn and state: `turn`, `capabilities`, `config: KEY`, `state-set: KEY=VALUE`,
//!   `state-get: KEY`, `state-get-big: BYTES`, `state-remove: KEY`.
//! - WASI: `print: TEXT`, `stdin`, `env`, `fs`, `clock`, `files: SCRIPT` (in `files.rs`).
//! - Model: `llm: TEXT`, `llm-history`, `llm-model: ALIAS`, `llm-drop`, `llm-hold`, `llm-many: N`,
//!   `llm-tools: ANSWER`, `llm-take-twice`, `llm-option: NAME`, `llm-other: JSON`,
//!   `llm-other-part: JSON`.

mod command;
mod files;
mod misbehave;
mod model;
pub mod scripts;
mod session;
mod system;

pub use command::Command;

use worker_guest::{Failure, Turn};

/// Does what the input says, without a model.
pub fn run(turn: &Turn) -> Result<(), Failure> {
    let text = turn.text();
    let command = Command::parse(&text);
    let known = misbehave::run(turn, command)
        .or_else(|| session::run(turn, command))
        .or_else(|| system::run(turn, command))
        .or_else(|| files::run(turn, command));
    known.unwrap_or_else(|| Ok(turn.say(&text)?))
}

/// Does what the input says.
///
/// A function of its own, so that a component that never calls it imports no model.
pub fn run_with_model(turn: &Turn) -> Result<(), Failure> {
    model::run(turn, Command::parse(&turn.text())).unwrap_or_else(|| run(turn))
}

#[cfg(test)]
mod tests {
    use worker_guest::{
        Worker,
        testing::{TestOutcome, TestTurn},
    };

    use super::*;

    struct Hostile;

    impl Worker for Hostile {
        fn run(turn: Turn) -> Result<(), Failure> {
            run_with_model(&turn)
        }
    }

    fn run_command(text: &str) -> TestOutcome {
        TestTurn::text(text).grant("llm").model_says(["Hel", "lo"]).run::<Hostile>()
    }

    #[test]
    fn what_is_no_command_is_echoed() {
        assert_eq!(run_command("good day: sir").said, ["good day: sir"]);
    }

    #[test]
    fn commands_take_arguments() {
        assert_eq!(run_command("utter: a|b|c").said, ["abc"]);
        assert_eq!(run_command("utter-drop: half").incomplete, ["half"]);
        assert_eq!(run_command("state-set: k=v").state["k"], "v");
        assert_eq!(run_command("fail: why").result, Err(Failure::new("why")));
        assert!(run_command("say: many").result.is_err());
    }

    #[test]
    fn what_the_host_refuses_is_told() {
        assert_eq!(run_command("config: absent").said, ["(none)"]);
        assert_eq!(run_command("state-get-big: 1048576").said, ["(none)"]);
        assert_eq!(run_command("tool-big: 9").said, ["ok"]);
        assert_eq!(run_command("tool-name: 9").tool_calls[0].name, "xxxxxxxxx");
        assert!(run_command("tool-take: c1").said[0].starts_with("first: error: "));
        assert!(run_command("history: 0").result.is_err());
        assert!(run_command("history: 1001").result.is_err());
        assert!(run_command("llm-other: {}").result.is_err());
    }

    #[test]
    fn a_call_that_the_model_asked_for_is_taken_up_once() {
        let test =
            TestTurn::text("llm-take-twice").grant("llm").model_asks_for("c1", "lookup", "{}");
        let outcome = test.run::<Hostile>();
        let said = &outcome.said[0];
        assert!(said.starts_with("first: ok\nsecond: error: "), "{said}");
        assert_eq!(outcome.tool_calls[0].result, Some(Ok("taken".to_owned())));
    }

    #[test]
    fn the_history_has_what_the_turn_said_before() {
        let said = run_command("say-history: one").said;
        let expected = "3 entries, more: false\n\
            user: say-history: one\nassistant: one\ntool: worked";
        assert_eq!(said, ["one", expected]);
    }

    #[test]
    fn the_model_is_called_only_where_the_component_may() {
        assert_eq!(run_command("llm: hi").said, ["model said: Hello"]);
        let dropped = run_command("llm-drop");
        assert_eq!(dropped.said, ["dropped"]);
        assert!(!dropped.answers[0].complete);
    }
}
