//! Runs against a model: keys that are missing or refused, failures in a transcript, a run that is
//! interrupted while the model thinks.

use std::{
    io::{Read as _, Write as _},
    process::Stdio,
};

use insta::assert_snapshot;
use serde_json::Value;
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::any};

use crate::{Ended, Home, PATIENCE, Up, json_lines, model_at, send_signal, wait};

#[test]
fn a_missing_key_names_its_variable() {
    let home = Home::with_config("[models.default]\nprovider = \"anthropic\"\nmodel = \"m\"\n");
    let ended = home.yoi(&["run", "companion", "hi"]);
    assert_eq!(ended.code, Some(1));
    assert_snapshot!(ended.stderr, @"yoi: the model `default` cannot be used: the environment variable `ANTHROPIC_API_KEY`, which is to hold the model's key, is not set");
    assert_eq!(home.yoi(&["run", "echo", "hi"]).code, Some(0), "it needs no model");
}

#[tokio::test]
async fn a_refused_key_is_named_by_its_reason_and_never_shown() {
    const KEY: &str = "sk-open-sesame";
    // All but the compiler, which never saw the key and has a million lines to say.
    const LOG_ALL: &str = "trace,cranelift=warn,regalloc2=warn,wasmtime=warn";
    let server = MockServer::start().await;
    let answer = serde_json::json!({ "error": { "message": format!("bad key {KEY}") } });
    Mock::given(any())
        .respond_with(ResponseTemplate::new(401).set_body_json(answer))
        .mount(&server)
        .await;
    let home = model_at(&server, "MY_KEY");
    for arguments in [&["run", "companion", "hi"][..], &["--json", "run", "companion", "hi"]] {
        let mut command = home.command(arguments);
        command.env("MY_KEY", KEY).env("RUST_LOG", LOG_ALL);
        let ended = tokio::task::spawn_blocking(move || command.output());
        let ended = Ended::of(ended.await.expect("no panic").expect("yoi starts"));
        assert_eq!(ended.code, Some(1), "{}", ended.stderr);
        assert!(ended.stderr.contains("the turn failed: "), "{}", ended.stderr);
        let printed = ended.stdout + &ended.stderr;
        assert!(!printed.contains("sesame"), "{printed}");
    }
    assert!(!server.received_requests().await.expect("a record").is_empty());
}

#[tokio::test]
async fn a_transcript_says_how_turns_failed() {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(401)).mount(&server).await;
    // A variable that every process has.
    let home = model_at(&server, "HOME");
    let ended = tokio::task::spawn_blocking(move || {
        let run = home.yoi(&["run", "companion", "hi"]);
        assert!(run.stderr.contains("the turn failed: "), "{run:?}");
        assert!(!run.stderr.contains("WARN"), "the log is the operator's: {run:?}");
        let _up = Up::start(&home);
        let id = home.succeed(&["worker", "create", "companion"]);
        for input in ["one", "two"] {
            let sent = home.yoi(&["worker", "send", id.trim_end(), input]);
            assert_eq!(sent.code, Some(1), "{sent:?}");
        }
        let json = home.succeed(&["--json", "worker", "transcript", id.trim_end()]);
        (home.succeed(&["worker", "transcript", id.trim_end()]), json_lines(&json))
    });
    let (text, json) = ended.await.expect("no panic");
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with(' ')).collect();
    let [one, failed_one, two, failed_two] = lines[..] else { panic!("{text}") };
    assert_eq!((one, two), ("you: one", "you: two"));
    assert!(failed_one.starts_with("turn failed: ") && failed_one == failed_two, "{text}");
    let ends: Vec<&Value> = json.iter().filter(|line| line["type"] == "turn.ended").collect();
    assert_eq!(ends.len(), 2, "{json:?}");
    assert_eq!(ends[1]["outcome"]["status"], "failed");
}

#[test]
fn a_run_whose_answer_nobody_reads_ends_when_it_is_told_to() {
    let home = Home::new();
    let mut run = home.command(&["run", "echo", "-"]);
    let mut child = run.stdin(Stdio::piped()).spawn().expect("yoi run");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(&[b'x'; 300_000]).expect("written");
    drop(stdin);
    let mut begin = [0];
    child.stdout.as_mut().expect("a pipe").read_exact(&mut begin).expect("the answer begins");
    send_signal(&child, "TERM");
    assert_eq!(wait(&mut child).code(), Some(130));
}

#[tokio::test]
async fn an_interrupted_run_cancels_its_turn() {
    let server = MockServer::start().await;
    let silence = ResponseTemplate::new(200).set_delay(PATIENCE);
    let asked = Mock::given(any()).respond_with(silence).expect(1).mount_as_scoped(&server).await;
    let home = model_at(&server, "MY_KEY");
    let mut child =
        home.command(&["run", "companion", "hi"]).env("MY_KEY", "k").spawn().expect("yoi run");
    let asked = tokio::time::timeout(PATIENCE, asked.wait_until_satisfied()).await;
    asked.expect("the model is asked");
    send_signal(&child, "INT");
    let status = tokio::task::spawn_blocking(move || {
        let status = wait(&mut child);
        let mut stderr = String::new();
        child.stderr.take().expect("a pipe").read_to_string(&mut stderr).expect("text");
        (status, stderr)
    });
    let (status, stderr) = status.await.expect("no panic");
    assert_eq!(status.code(), Some(130), "{stderr}");
    assert!(stderr.ends_with("cancelled\n"), "{stderr}");
}
