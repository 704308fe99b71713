//! What a model can do with the tools, in a directory of this machine and on the scripted host.
#![cfg(feature = "tools")]

use std::{cell::RefCell, fs, path::Path};

use proptest::prelude::*;
use worker_guest::{
    Failure, Request, ToolRequest, ToolSchema, Turn, Worker,
    shell::{Ending, Piece},
    testing::TestTurn,
    tools::{ToolResult, Toolbox},
    worker,
};

/// Runs calls of a toolbox on a directory, and gives their results.
fn call(directory: &Path, test: TestTurn, calls: &[(&str, &str)]) -> Vec<ToolResult> {
    /// A Worker is a type: what it is to do stands beside it.
    #[derive(Default)]
    struct Plan {
        toolbox: Option<Toolbox>,
        calls: Vec<(String, String)>,
        results: Vec<ToolResult>,
    }
    thread_local! {
        static PLAN: RefCell<Plan> = RefCell::default();
    }
    struct Caller;
    worker!(Caller);
    impl Worker for Caller {
        fn run(turn: Turn) -> Result<(), Failure> {
            PLAN.with_borrow_mut(|Plan { toolbox, calls, results }| {
                let toolbox = toolbox.as_mut().expect("a toolbox");
                for (name, arguments) in std::mem::take(calls) {
                    results.push(toolbox.call(&turn, &name, &arguments)?);
                }
                Ok(())
            })
        }
    }
    let toolbox = Toolbox::new(directory).files().shell();
    let calls = calls.iter().map(|&(name, arguments)| (name.into(), arguments.into())).collect();
    PLAN.set(Plan { toolbox: Some(toolbox), calls, results: Vec::new() });
    let outcome = test.run::<Caller>();
    assert_eq!(outcome.result, Ok(()));
    let results = PLAN.take().results;
    for (call, result) in outcome.tool_calls.iter().zip(&results) {
        let expected = if result.is_error { Err(&result.text) } else { Ok(&result.text) };
        assert_eq!(call.result.as_ref().expect("recorded").as_ref(), expected);
    }
    results
}

/// The text of one call that has to succeed.
#[track_caller]
fn ok(directory: &Path, tool: &str, arguments: &str) -> String {
    let result = call(directory, TestTurn::text(""), &[(tool, arguments)]).remove(0);
    assert!(!result.is_error, "{}", result.text);
    result.text
}

/// The text of one call that has to fail.
#[track_caller]
fn error(directory: &Path, tool: &str, arguments: &str) -> String {
    let result = call(directory, TestTurn::text(""), &[(tool, arguments)]).remove(0);
    assert!(result.is_error, "{}", result.text);
    result.text
}

fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    for (name, content) in files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(path, content).expect("written");
    }
    directory
}

#[test]
fn every_schema_is_json_that_names_its_fields() {
    for schema in Toolbox::new("/").files().shell().schemas() {
        let parameters: serde_json::Value = serde_json::from_str(&schema.parameters).expect("JSON");
        let fields = parameters["properties"].as_object().expect("fields");
        for required in parameters["required"].as_array().expect("a list") {
            assert!(fields.contains_key(required.as_str().expect("a name")), "{}", schema.name);
        }
        // What the schema names the tool takes: only the type of the value is wrong.
        for field in fields.keys() {
            let arguments = format!(r#"{{"{field}": {{}}}}"#);
            let words = error(Path::new("/nowhere"), &schema.name, &arguments);
            assert!(!words.contains("there is no field"), "{}: {words}", schema.name);
        }
    }
}

#[test]
fn what_a_model_got_wrong_is_said_so_that_it_can_mend_it() {
    let files = directory(&[("a.txt", "x")]);
    for (tool, arguments, words) in [
        (
            "raed",
            "{}",
            "there is no tool `raed`; the tools are `read`, `glob`, `grep`, `write`, `edit`, `shell`",
        ),
        (
            "read",
            r#"{"path": "a.txt""#,
            "the arguments cannot be used: they are not JSON: EOF while parsing an object at line 1 column 16",
        ),
        (
            "read",
            r#"{"file_path": "a.txt"}"#,
            "the arguments cannot be used: there is no field `file_path`; the fields are `path`, `offset`, `limit`",
        ),
        ("read", "{}", "the arguments cannot be used: the field `path` is missing; it is text"),
        (
            "read",
            r#"{"path": "a.txt", "limit": 0}"#,
            "the arguments cannot be used: the field `limit` has to be 1 or more, not 0",
        ),
        (
            "read",
            r#"{"path": "A.TXT"}"#,
            "cannot read `A.TXT` (there is `a.txt`): No such file or directory (os error 2)",
        ),
        (
            "grep",
            r#"{"pattern": "x", "mode": "all"}"#,
            "the arguments cannot be used: the field `mode` has to be `lines`, `files` or `count`, not `all`",
        ),
        (
            "shell",
            r#"{"script": "x", "directory": "src"}"#,
            "the arguments cannot be used: the field `directory` has to be an absolute path, not src",
        ),
        (
            "shell",
            r#"{"script": "x"}"#,
            "the host refused: the Worker does not have the grant this needs",
        ),
        (
            "glob",
            r#"{"pattern": "*", "path": "no"}"#,
            "cannot look in `no`: No such file or directory (os error 2)",
        ),
        ("glob", r#"{"pattern": "*", "path": "a.txt"}"#, "`a.txt` is not a directory"),
    ] {
        assert_eq!(error(files.path(), tool, arguments), words);
    }
    let words = error(files.path(), "grep", r#"{"pattern": "a("}"#);
    assert!(words.contains("unclosed group") && words.contains("`literal`"), "{words}");
    let words = error(files.path(), "glob", r#"{"pattern": "a["}"#);
    assert!(words.contains("has to be a glob pattern"), "{words}");
}

#[test]
fn files_are_written_read_and_edited() {
    let files = directory(&[]);
    let results = call(
        files.path(),
        TestTurn::text(""),
        &[
            ("write", r#"{"path": "src/a.rs", "content": "one\ntwo\n"}"#),
            ("edit", r#"{"path": "src/a.rs", "old_text": "two", "new_text": "2"}"#),
            ("read", r#"{"path": "src/a.rs"}"#),
        ],
    );
    let texts: Vec<&str> = results.iter().map(|result| result.text.as_str()).collect();
    assert_eq!(
        texts,
        [
            "created `src/a.rs`: 8 bytes",
            "edited `src/a.rs`: replaced 1 occurrence\n     1\tone\n     2\t2\n",
            "     1\tone\n     2\t2\n",
        ]
    );
}

#[test]
fn glob_is_sorted_and_leaves_out_what_git_ignores() {
    let files = directory(&[
        ("b.rs", ""),
        ("src/a.rs", ""),
        ("src/deep/c.rs", ""),
        ("src/gen/d.rs", ""),
        ("src/.gitignore", "gen/\n*.tmp\n!keep.tmp\n"),
        ("src/x.tmp", ""),
        ("src/keep.tmp", ""),
        ("target/e.rs", ""),
        (".gitignore", "/target\n"),
        (".git/f.rs", ""),
        (".github/ci.yml", ""),
    ]);
    let glob = |arguments| ok(files.path(), "glob", arguments);
    assert_eq!(glob(r#"{"pattern": "**/*.rs"}"#), "b.rs\nsrc/a.rs\nsrc/deep/c.rs\n");
    assert_eq!(glob(r#"{"pattern": "*"}"#), ".github/\n.gitignore\nb.rs\nsrc/\n");
    assert_eq!(
        glob(r#"{"pattern": "*", "path": "src"}"#),
        "src/.gitignore\nsrc/a.rs\nsrc/deep/\nsrc/keep.tmp\n"
    );
    assert_eq!(
        glob(r#"{"pattern": "**/*.rs", "include_ignored": true}"#),
        "b.rs\nsrc/a.rs\nsrc/deep/c.rs\nsrc/gen/d.rs\ntarget/e.rs\n"
    );
    assert_eq!(glob(r#"{"pattern": "src/{a,deep/c}.rs"}"#), "src/a.rs\nsrc/deep/c.rs\n");
    let absolute = format!(r#"{{"pattern": "{}/src/*.rs"}}"#, files.path().display());
    assert_eq!(glob(&absolute), "src/a.rs\n");
    assert_eq!(
        glob(r#"{"pattern": "**/*.rs", "limit": 2}"#),
        "b.rs\nsrc/a.rs\n[2 of 3; a narrower pattern or path shows the others]\n"
    );
    assert_eq!(
        glob(r#"{"pattern": "c.rs"}"#),
        "[nothing matches; `**/c.rs` also looks in the directories below]\n"
    );
}

#[test]
fn what_is_too_deep_or_too_large_is_said() {
    let deep = "d/".repeat(201);
    let files = directory(&[(&format!("{deep}a.txt"), "needle")]);
    let large = fs::File::create(files.path().join("large")).expect("made");
    large.set_len((16 << 20) + 1).expect("as large");
    let shown = ok(files.path(), "glob", r#"{"pattern": "**/*.txt"}"#);
    assert_eq!(shown, "[nothing matches]\n[1 directory could not be read]\n");
    assert_eq!(
        ok(files.path(), "grep", r#"{"pattern": "needle"}"#),
        "[nothing matches]\n[left out: 1 file larger than 16 MiB]\n[1 directory could not be read]\n"
    );
    let overwritten = ok(files.path(), "write", r#"{"path": "large", "content": "small"}"#);
    assert_eq!(overwritten, "overwrote `large`: 5 bytes, before 16777217");
    assert_eq!(fs::read(files.path().join("large")).expect("read"), b"small");
}

#[cfg(unix)]
#[test]
fn links_are_named_and_not_followed() {
    let files = directory(&[("a/b.txt", "needle")]);
    std::os::unix::fs::symlink("..", files.path().join("a/up")).expect("a link");
    std::os::unix::fs::symlink("b.txt", files.path().join("a/c.txt")).expect("a link");
    assert_eq!(ok(files.path(), "glob", r#"{"pattern": "**"}"#), "a/\na/b.txt\na/c.txt\na/up\n");
    assert_eq!(ok(files.path(), "grep", r#"{"pattern": "needle"}"#), "a/b.txt:1:needle\n");
}

#[test]
fn grep_shows_lines_files_or_counts() {
    let files = directory(&[
        ("a.rs", "fn one() {}\nlet x = 1;\nfn two() {}\n"),
        ("b.txt", "Fn three\n"),
        ("c.bin", "fn\0"),
        ("skip.rs", "fn skipped\n"),
        (".gitignore", "skip.rs"),
    ]);
    let grep = |arguments| ok(files.path(), "grep", arguments);
    assert_eq!(grep(r#"{"pattern": "^fn \\w+"}"#), "a.rs:1:fn one() {}\na.rs:3:fn two() {}\n");
    assert_eq!(grep(r#"{"pattern": "fn", "ignore_case": true, "mode": "files"}"#), "a.rs\nb.txt\n");
    assert_eq!(
        grep(r#"{"pattern": "fn", "ignore_case": true, "mode": "count"}"#),
        "a.rs:2\nb.txt:1\n[3 lines in 2 files]\n"
    );
    assert_eq!(grep(r#"{"pattern": "one() {", "literal": true}"#), "a.rs:1:fn one() {}\n");
    assert_eq!(grep(r#"{"pattern": "(?i)fn", "include": "*.txt"}"#), "b.txt:1:Fn three\n");
    assert_eq!(grep(r#"{"pattern": "fn", "path": "skip.rs"}"#), "skip.rs:1:fn skipped\n");
    assert_eq!(grep(r#"{"pattern": "nowhere"}"#), "[nothing matches]\n");
    let cut = grep(r#"{"pattern": "fn", "limit": 1}"#);
    assert!(
        cut.starts_with("a.rs:1:fn one() {}\n[the first 1 matching lines, and there are more"),
        "{cut}"
    );
    assert_eq!(
        error(files.path(), "grep", r#"{"pattern": "fn", "path": "c.bin"}"#),
        "`c.bin` is a binary file"
    );
}

#[test]
fn grep_shows_the_match_in_a_long_line() {
    let files =
        directory(&[("min.js", &format!("{}needle{}", "é".repeat(9000), "x".repeat(9000)))]);
    let shown = ok(files.path(), "grep", r#"{"pattern": "needle"}"#);
    assert!(shown.starts_with("min.js:1:…éé") && shown.contains("ééneedlexx"), "{shown}");
    assert!(shown.ends_with("xx… [27006 bytes in this line]\n"), "{shown}");
    assert!(shown.len() < 600, "{}", shown.len());
}

#[test]
fn grep_shows_context_once() {
    let lines: String = (1..=20).map(|number| format!("line {number}\n")).collect();
    let files = directory(&[("a", &lines)]);
    let shown = |pattern: &str| {
        ok(files.path(), "grep", &format!(r#"{{"pattern": "{pattern}", "context": 1}}"#))
    };
    assert_eq!(
        shown("line (3|5)$"),
        "a-2-line 2\na:3:line 3\na-4-line 4\na:5:line 5\na-6-line 6\n"
    );
    assert_eq!(
        shown("line (1|2|19)$"),
        "a:1:line 1\na:2:line 2\na-3-line 3\n--\na-18-line 18\na:19:line 19\na-20-line 20\n"
    );
}

#[test]
fn a_script_shows_its_output_and_its_exit_code() {
    let files = directory(&[]);
    let test = TestTurn::text("")
        .grant("shell")
        .shell_gives([
            Piece::Stdout(b"out\n".into()),
            Piece::Stderr(b"err".into()),
            Piece::Ended(Ending::Exited(3)),
        ])
        .shell_gives([
            Piece::Stdout(vec![b'a'; 30_000]),
            Piece::Stdout(vec![b'b'; 30_000]),
            Piece::Ended(Ending::Exited(0)),
        ])
        .shell_gives([Piece::Ended(Ending::TimedOut)]);
    let results = call(
        files.path(),
        test,
        &[
            ("shell", r#"{"script": "one"}"#),
            ("shell", r#"{"script": "two"}"#),
            ("shell", r#"{"script": "three", "timeout_seconds": 2}"#),
        ],
    );
    assert_eq!(results[0], ToolResult { text: "out\nerr\n[exit code 3]".into(), is_error: true });
    assert!(!results[1].is_error);
    assert!(results[1].text.contains("a\n[27232 bytes cut]\nb"));
    assert!(
        results[1]
            .text
            .ends_with("[to see all of it, write it into a file and `read` that]\n[exit code 0]")
    );
    assert_eq!(results[2].text, "[no output]\n[the script took longer than it may, and was ended]");
}

#[test]
fn scripts_share_a_session_that_begins_in_the_toolbox() {
    struct Scripts;
    worker!(Scripts);
    impl Worker for Scripts {
        fn run(turn: Turn) -> Result<(), Failure> {
            let mut toolbox = Toolbox::new("/workspace").shell();
            toolbox.call(&turn, "shell", r#"{"script": "cd src"}"#)?;
            toolbox.call(&turn, "shell", r#"{"script": "pwd"}"#)?;
            Ok(())
        }
    }
    let outcome = TestTurn::text("").grant("shell").shell_says("").shell_says("").run::<Scripts>();
    let directories: Vec<_> =
        outcome.scripts.iter().map(|ran| ran.script.directory.as_deref()).collect();
    assert_eq!(directories, [Some("/workspace"), None]);
}

#[test]
fn a_model_asks_and_an_authors_tool_answers() {
    struct Asker;
    worker!(Asker);
    impl Worker for Asker {
        fn run(turn: Turn) -> Result<(), Failure> {
            let schema = ToolSchema::new("half", "Halves a number.", r#"{"type":"object"}"#);
            let mut calls = 0;
            let mut toolbox = Toolbox::new("/workspace").tool(schema, move |call| {
                calls += 1;
                let number: u64 = call.arguments.text("number")?.parse()?;
                Ok(format!("{} in turn {}, call {calls}", number / 2, call.turn.id()))
            });
            let mut request = Request::history("default");
            request.tools = toolbox.schemas();
            for (call_id, arguments) in [("c1", r#"{"number": "8"}"#), ("c2", r#"{"number": "x"}"#)]
            {
                turn.complete(request.clone())?.text()?;
                let asked = ToolRequest {
                    call_id: call_id.into(),
                    name: "half".into(),
                    arguments: arguments.into(),
                };
                toolbox.answer(&turn, &asked)?;
                assert!(toolbox.answer(&turn, &asked).is_err(), "it was answered");
            }
            Ok(())
        }
    }
    let outcome = TestTurn::text("")
        .grant("llm")
        .model_asks_for("c1", "half", r#"{"number": "8"}"#)
        .model_asks_for("c2", "half", r#"{"number": "x"}"#)
        .run::<Asker>();
    assert_eq!(outcome.result, Ok(()));
    let results: Vec<_> = outcome.tool_calls.into_iter().map(|call| call.result).collect();
    assert_eq!(
        results,
        [
            Some(Ok("4 in turn 1, call 1".to_owned())),
            Some(Err("invalid digit found in string".to_owned()))
        ]
    );
}

/// What a confused model might write: the right fields with whatever in them, or others.
fn arguments() -> impl Strategy<Value = String> {
    let field = prop::sample::select(vec![
        "path", "pattern", "offset", "limit", "include", "literal", "context", "mode", "other",
    ]);
    let value = prop_oneof![
        // No dots and no slashes: it stays in its directory.
        r#""[a-z*?|+(){}é\\[\\]]{0,6}""#,
        "-?[0-9]{1,21}(\\.[0-9])?",
        prop::sample::select(vec!["true", "null", "[]", "{}", "\"lines\""]).prop_map(str::to_owned),
    ];
    prop::collection::vec((field, value), 0..4).prop_map(|fields| {
        let fields: Vec<String> =
            fields.iter().map(|(field, value)| format!(r#""{field}": {value}"#)).collect();
        format!("{{{}}}", fields.join(", "))
    })
}

proptest! {
    #[test]
    fn whatever_a_model_writes_has_an_answer(
        tool in prop::sample::select(vec!["read", "glob", "grep"]),
        arguments in prop_oneof![arguments(), any::<String>()],
        content: Vec<u8>,
    ) {
        let files = directory(&[("a/b", "text"), ("c", "")]);
        fs::write(files.path().join("d"), content).expect("written");
        let result = call(files.path(), TestTurn::text(""), &[(tool, &arguments)]).remove(0);
        prop_assert!(!result.text.is_empty());
    }
}

#[test]
fn a_result_is_bounded_whoever_made_it() {
    struct Talker;
    worker!(Talker);
    impl Worker for Talker {
        fn run(turn: Turn) -> Result<(), Failure> {
            let schema = ToolSchema::new("talk", "Talks.", "{}");
            let mut toolbox = Toolbox::new("/workspace").tool(schema, |_| Ok("é".repeat(1 << 20)));
            let result = toolbox.run(&turn, "talk", "");
            assert!(result.text.ends_with("é\n[1835008 more bytes are cut]"));
            Ok(())
        }
    }
    let outcome = TestTurn::text("").run::<Talker>();
    assert_eq!((outcome.result, outcome.tool_calls.len()), (Ok(()), 0));
}
