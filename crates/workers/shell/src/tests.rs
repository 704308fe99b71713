use worker_guest::{
    Error, Failure,
    shell::{Ending, Piece},
    testing::{TestOutcome, TestTurn},
};

use crate::{Shell, speech::MAX_MESSAGE_BYTES};

fn run(script: &str, pieces: impl IntoIterator<Item = Piece>) -> TestOutcome {
    TestTurn::text(script).grant("shell").shell_gives(pieces).run::<Shell>()
}

fn stdout(bytes: impl Into<Vec<u8>>) -> Piece {
    Piece::Stdout(bytes.into())
}

fn stderr(bytes: impl Into<Vec<u8>>) -> Piece {
    Piece::Stderr(bytes.into())
}

fn exited(code: u8) -> Piece {
    Piece::Ended(Ending::Exited(code))
}

#[test]
fn runs_its_input_and_says_both_outputs_in_their_order() {
    let outcome = run("make it", [stdout("one\n"), stderr("two\n"), stdout("three\n"), exited(0)]);
    assert_eq!(outcome.result, Ok(()));
    assert_eq!(outcome.said, ["one\ntwo\nthree\n"]);

    let [ran] = outcome.scripts.as_slice() else { panic!("one script") };
    assert_eq!(ran.script.text, "make it");
    assert!(ran.stdin_closed && ran.stdin.is_empty(), "it has nothing to read");
}

#[test]
fn a_script_that_is_silent_says_nothing() {
    let outcome = run("true", [exited(0)]);
    assert_eq!(outcome.result, Ok(()));
    assert!(outcome.said.is_empty() && outcome.incomplete.is_empty());
}

#[test]
fn characters_are_whole_and_what_is_none_is_marked() {
    let outcome =
        run("x", [stdout(*b"\xe2\x82"), stderr(*b"!"), stdout(*b"\xac \xff \xf0\x9f"), exited(0)]);
    assert_eq!(outcome.said, ["!€ \u{fffd} \u{fffd}"]);
}

#[test]
fn every_other_end_fails_the_turn_in_words() {
    for (ending, words) in [
        (Ending::Exited(3), "the script exited with code 3"),
        (Ending::TimedOut, "the script took longer than it may, and was ended"),
        (Ending::Limit("memory".into()), "the script ran into a limit of the turn: memory"),
        (Ending::Crashed("trap".into()), "the shell failed: trap"),
        (Ending::Other("gone".into()), "gone"),
    ] {
        let outcome = run("x", [stdout("so far"), Piece::Ended(ending)]);
        assert_eq!(outcome.result, Err(Failure::new(words)));
        assert_eq!(outcome.said, ["so far"], "what it wrote is complete");
    }
}

#[test]
fn an_end_that_nobody_told_is_no_success() {
    assert!(run("x", []).result.is_err());
}

#[test]
fn what_one_message_cannot_hold_goes_into_the_next() {
    let a = "a".repeat(MAX_MESSAGE_BYTES - 1);
    let outcome = run("x", [stdout(a.as_str()), stdout("€"), stdout(a.as_str()), exited(0)]);
    assert_eq!(outcome.result, Ok(()));
    let sizes: Vec<usize> = outcome.said.iter().map(String::len).collect();
    assert_eq!(sizes, [MAX_MESSAGE_BYTES - 1, MAX_MESSAGE_BYTES, 2]);
    assert_eq!(outcome.said.concat(), format!("{a}€{a}"));
}

#[test]
fn fails_without_the_grant() {
    let outcome = TestTurn::text("x").run::<Shell>();
    assert_eq!(outcome.result, Err(Failure::from(Error::NotGranted)));
}
