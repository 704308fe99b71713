//! A guest that does what its input says, however bad.
//!
//! The input is `command` or `command: argument`; what is no command is echoed.
//!
//! - Using up: `spin`, `spin-in-host-calls`, `sleep: MS`, `grow: MIB`, `hog: MIB`, `recurse`, `handles: N`,
//!   `say: BYTES`, `say-many: N`, `utter-many: N`, `state-big: BYTES`, `stdout: BYTES`,
//!   `stderr: BYTES`, `random: BYTES`.
//! - Ending badly: `trap`, `panic: TEXT`, `fail: TEXT`, `exit: CODE` (WASI keeps of the code only
//!   whether it is 0), `utter-hang`, `tool-trap`.
//! - Transcript: `utter: A|B|C`, `utter-drop: TEXT`, `tool`, `tool: JSON`, `tool-fail: TEXT`,
//!   `tool-drop`, `tool-take: CALL_ID`, `history`, `history: LIMIT`, `steering`.
//! - Turn and state: `turn`, `capabilities`, `config: KEY`, `state-set: KEY=VALUE`,
//!   `state-get: KEY`, `state-remove: KEY`.
//! - WASI: `print: TEXT`, `stdin`, `env`, `fs`, `clock`.
//! - Model: `llm: TEXT`, `llm-history`, `llm-model: ALIAS`, `llm-drop`, `llm-hold`, `llm-many: N`,
//!   `llm-tools: ANSWER`.

mod command;
mod misbehave;
mod model;
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
        .or_else(|| system::run(turn, command));
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
    fn the_model_is_called_only_where_the_component_may() {
        assert_eq!(run_command("llm: hi").said, ["model said: Hello"]);
        let dropped = run_command("llm-drop");
        assert_eq!(dropped.said, ["dropped"]);
        assert!(!dropped.answers[0].complete);
    }
}
