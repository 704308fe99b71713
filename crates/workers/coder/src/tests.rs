use std::fs;

use worker_guest::{
    Failure, LlmError,
    testing::{TestOutcome, TestTurn},
};

use crate::Coder;

fn names(outcome: &TestOutcome) -> Vec<&str> {
    outcome.requests[0].tools.iter().map(|tool| tool.name.as_str()).collect()
}

fn system(outcome: &TestOutcome) -> &str {
    outcome.requests[0].system.as_deref().expect("a prompt")
}

/// A turn in this directory, with a model.
fn turn(directory: &tempfile::TempDir, text: &str) -> TestTurn {
    TestTurn::text(text).grant("llm").config("directory", directory.path().display().to_string())
}

#[test]
fn edits_a_file_and_says_what_it_did() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("greeting.txt");
    fs::write(&file, "hello\n").expect("written");
    let outcome = turn(&directory, "say good morning instead")
        .model_asks_for("1", "read", r#"{"path":"greeting.txt"}"#)
        .model_asks_for(
            "2",
            "edit",
            r#"{"path":"greeting.txt","old_text":"hello","new_text":"good morning"}"#,
        )
        .model_says(["Changed."])
        .run::<Coder>();
    assert_eq!(outcome.result, Ok(()));
    assert_eq!(fs::read_to_string(file).expect("text"), "good morning\n");
}

#[test]
fn is_shown_the_tools_that_it_was_granted_something_for() {
    let directory = tempfile::tempdir().expect("a directory");
    let files = turn(&directory, "hi").model_says(["hi"]).run::<Coder>();
    assert_eq!(names(&files), ["read", "glob", "grep", "write", "edit"]);
    let both = turn(&directory, "hi").grant("shell").model_says(["hi"]).run::<Coder>();
    assert_eq!(names(&both).last(), Some(&"shell"));
    let nowhere = TestTurn::text("hi").grant("llm").config("directory", "/nowhere");
    let nowhere = nowhere.model_says(["hi"]).run::<Coder>();
    assert!(names(&nowhere).is_empty());
    assert!(system(&nowhere).contains("not given a directory"), "{}", system(&nowhere));
}

#[test]
fn reads_what_the_repository_tells_agents_and_no_more_of_it_than_that() {
    let directory = tempfile::tempdir().expect("a directory");
    let without = turn(&directory, "hi").model_says(["hi"]).run::<Coder>();
    assert!(!system(&without).contains("AGENTS.md"));
    let text = format!("Use tabs.\n{}THE END", "x".repeat(32 << 10));
    fs::write(directory.path().join("AGENTS.md"), text).expect("written");
    let with = turn(&directory, "hi").model_says(["hi"]).run::<Coder>();
    assert!(system(&with).contains("Use tabs.") && !system(&with).contains("THE END"));
}

#[test]
fn fails_with_the_model() {
    let directory = tempfile::tempdir().expect("a directory");
    let failed = turn(&directory, "hi").model_fails(LlmError::Overloaded).run::<Coder>();
    let failure = failed.result.expect_err("no model");
    assert!(failure.message().contains("overloaded"), "{failure}");
    let denied = TestTurn::text("hi").run::<Coder>();
    assert!(denied.result.is_err_and(|failure: Failure| failure.message().contains("not granted")));
}
