//! A Runtime process as its operator meets it: the program `worker-runtime`, what it logs, and how it ends.

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use insta::assert_snapshot;
use serde_json::{Value, json};
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::any};

use crate::{
    Ended, Home, PATIENCE, json_lines, model_at, send_signal,
    serve::{Serve, first_token},
    wait,
};

const WORKER_RUNTIME: &str = env!("CARGO_BIN_EXE_worker-runtime");

fn worker_runtime(home: &Home, arguments: &[&str]) -> Serve {
    let arguments = [&["--listen", "127.0.0.1:0"], arguments].concat();
    Serve::of(home.program(WORKER_RUNTIME, &arguments))
}

/// A model that fails at once, or does not answer.
async fn model(answer: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(answer).mount(&server).await;
    server
}

/// Creates a Worker whose first turn asks the model, and returns its id.
fn companion(serve: &Serve, token: &str) -> String {
    let grants = json!({ "llm": { "models": ["default"] } });
    let new = json!({ "profile": "companion", "grants": grants, "input": { "text": "hi" } });
    let (status, worker) = serve.ask(token, "/v1/workers", Some(new));
    assert_eq!(status, 201, "{worker}");
    worker["worker_id"].as_str().expect("an id").to_owned()
}

fn drain(home: &Home, serve: &Serve, arguments: &[&str]) -> std::process::Command {
    let arguments = [&["runtime", "drain", "--runtime", &serve.url], arguments].concat();
    let mut command = home.command(&arguments);
    command.env("YOI_TOKEN", first_token(home));
    command
}

#[test]
fn the_runtime_process_is_a_program_of_its_own() {
    let home = Home::new();
    let help = home.program(WORKER_RUNTIME, &["--help"]).output().expect("it starts");
    assert_snapshot!(Ended::of(help).stdout, @r#"
    Runs AI workers that nobody has to trust, for Backends and programs elsewhere, over HTTP: `yoi serve` by itself

    Usage: worker-runtime [OPTIONS]

    Options:
          --config <FILE>        The configuration [default: yoi/yoi.toml in $XDG_CONFIG_HOME or ~/.config, if there is one]
          --json                 Print JSON for programs instead of text for people
          --listen <ADDR>        Where to listen; other machines reach it only with [server] tls. Port 0 takes a free one [default: 127.0.0.1:38800]
          --data-dir <DIR>       The directory of the Backend or Runtime process [default: $XDG_DATA_HOME/yoi or ~/.local/share/yoi]
          --log-format <FORMAT>  How standard error is written: lines for people, or one JSON object a line [default: text] [possible values: text, json]
      -h, --help                 Print help
      -V, --version              Print version

    Examples:
      worker-runtime
      worker-runtime --config /etc/yoi/yoi.toml --data-dir /var/lib/yoi --log-format json

    Once it is ready, standard output gets one line with its address; what else there is to say, and a line
    for each command that somebody gives, goes to standard error. SIGTERM ends it: no new work is taken, and
    running turns get [server] shutdown_grace_s to end (30 seconds); a second one ends it at once.

    `yoi token` says who is let in; `yoi runtime drain` lets it end without losing a turn.

    Exit codes:
      0    it was asked to end, and did
      1    refused or failed
      2    the command line makes no sense
      130  ended at once, by a second signal
    "#);
    let version = home.program(WORKER_RUNTIME, &["--version"]).output().expect("it starts");
    assert!(Ended::of(version).stdout.starts_with("worker-runtime "));
    let wrong = home.program(WORKER_RUNTIME, &["run"]).output().expect("it starts");
    assert_eq!(Ended::of(wrong).code, Some(2));

    let serve = worker_runtime(&home, &[]);
    let token = first_token(&home);
    let (_, runtime) = serve.ask(&token, "/v1/runtime", None);
    let digest = runtime["config_digest"].as_str().expect("there is a file").to_owned();
    assert!(home.succeed(&["doctor"]).contains(&digest), "{digest}");
    let (code, said) = serve.end();
    assert_eq!(code, Some(0), "{said}");
    let yoi = env!("CARGO_BIN_EXE_yoi");
    assert!(said.contains(&format!("`{yoi} token new` makes others")), "{said}");
}

#[tokio::test]
async fn what_is_logged_of_a_turn_says_which_it_was() {
    let server = model(ResponseTemplate::new(401)).await;
    let home = model_at(&server, "HOME");
    let checked = tokio::task::spawn_blocking(move || {
        for format in ["text", "json"] {
            let mut command =
                home.program(WORKER_RUNTIME, &["--listen", "127.0.0.1:0", "--log-format", format]);
            // The failed turn itself is for who looks for it.
            command.env("RUST_LOG", "warn,worker_runtime::supervisor=debug,audit=info");
            let serve = Serve::of(command);
            let token = first_token(&home);
            let worker = companion(&serve, &token);
            let (_, turn) =
                serve.ask(&token, &format!("/v1/workers/{worker}/turns/1?wait_ms=60000"), None);
            assert_eq!(turn["outcome"]["status"], "failed", "{turn}");
            let (code, said) = serve.end();
            assert_eq!(code, Some(0), "{said}");
            assert!(!said.contains(&token), "{said}");
            match format {
                "json" => lines_of_json_have_ids(&said, &worker),
                _ => lines_of_text_have_ids(&said, &worker),
            }
        }
    });
    checked.await.expect("no panic");
}

/// What is said within a turn: by its guest's task, and by its Worker's.
const WITHIN: [&str; 2] = ["a model call failed", "a turn failed"];

fn lines_of_text_have_ids(said: &str, worker: &str) {
    for what in WITHIN {
        let line = said.lines().find(|line| line.contains(what)).expect(what);
        let at = line.find(what).expect("it is there");
        let ids = format!("turn{{worker={worker} turn=1}}");
        assert!(line.find(&ids).is_some_and(|span| span < at), "{line}");
    }
}

fn lines_of_json_have_ids(said: &str, worker: &str) {
    // Remarks are JSON as well: all of it is for a program.
    let lines = json_lines(said);
    let logged = |line: &&Value| line.get("fields").is_some();
    for line in lines.iter().filter(logged) {
        assert!(line["timestamp"].is_string() && line["level"].is_string(), "{line}");
    }
    for what in WITHIN {
        let line = lines.iter().find(|line| line["fields"]["message"] == what).expect(what);
        assert_eq!((&line["span"]["worker"], &line["span"]["turn"]), (&json!(worker), &json!("1")));
    }
    let command = lines.iter().find(|line| line["target"] == "audit").expect("a command");
    assert_eq!(command["fields"]["worker"], worker, "{command}");
}

#[tokio::test]
async fn a_drain_waits_for_what_was_accepted_and_says_so() {
    let server = model(ResponseTemplate::new(200).set_delay(PATIENCE)).await;
    let home = model_at(&server, "HOME");
    let drained = tokio::task::spawn_blocking(move || {
        let serve = Serve::start(&home);
        let token = first_token(&home);
        let worker = companion(&serve, &token);
        let at_once = drain(&home, &serve, &["--no-wait"]).output().expect("yoi");
        let at_once = Ended::of(at_once);
        assert_eq!(at_once.code, Some(0), "{at_once:?}");
        assert!(at_once.stdout.ends_with("something left to do: 1\n"), "{at_once:?}");
        let refused = serve.ask(&token, "/v1/workers", Some(json!({ "profile": "echo" })));
        assert_eq!((refused.0, &refused.1["code"]), (503, &json!("runtime_unavailable")));

        let mut waiting = drain(&home, &serve, &["--json"]).spawn().expect("yoi");
        let (status, _) =
            serve.ask(&token, &format!("/v1/workers/{worker}/cancel"), Some(json!({})));
        assert_eq!(status, 202);
        assert_eq!(wait(&mut waiting).code(), Some(0));
        let waited = Ended::of(waiting.wait_with_output().expect("yoi"));
        assert_eq!(json_lines(&waited.stdout), [json!({ "drained": true, "busy": 0 })]);
        assert_eq!(serve.end().0, Some(0));

        let again = Serve::start(&home);
        let (status, _) = again.ask(&token, "/v1/workers", Some(json!({ "profile": "echo" })));
        assert_eq!(status, 201, "it takes work after a restart");
        let mut wrong = home.command(&["runtime", "drain", "--runtime", &again.url]);
        let wrong = Ended::of(wrong.env("YOI_TOKEN", "wrong").output().expect("yoi"));
        assert_eq!(wrong.code, Some(1), "{wrong:?}");
    });
    drained.await.expect("no panic");
}

#[tokio::test]
async fn a_turn_that_ends_within_the_grace_is_waited_for_and_nothing_else() {
    let answer = ResponseTemplate::new(401).set_delay(Duration::from_secs(2));
    let server = model(answer).await;
    let home = model_at(&server, "HOME");
    let config = std::fs::read_to_string(home.path().join("config/yoi/yoi.toml")).expect("text");
    let ended = tokio::task::spawn_blocking(move || {
        let home = Home::with_config(&format!("{config}[server]\nshutdown_grace_s = 3600\n"));
        let serve = Serve::start(&home);
        let (token, began) = (first_token(&home), Instant::now());
        let worker = companion(&serve, &token);
        assert_eq!(serve.end().0, Some(0));
        assert!(began.elapsed() < PATIENCE, "the grace is not waited for");
        let again = Serve::start(&home);
        let (_, turn) = again.ask(&token, &format!("/v1/workers/{worker}/turns/1"), None);
        // The model answered, badly: the turn was not interrupted.
        assert_eq!(turn["outcome"]["status"], "failed", "{turn}");
    });
    ended.await.expect("no panic");
}

#[tokio::test]
async fn turns_are_interrupted_once_the_grace_is_over_or_somebody_asks_twice() {
    let server = model(ResponseTemplate::new(200).set_delay(PATIENCE)).await;
    let home = model_at(&server, "HOME");
    let config = std::fs::read_to_string(home.path().join("config/yoi/yoi.toml")).expect("text");
    let with_grace = move |grace: u64| {
        Home::with_config(&format!("{config}[server]\nshutdown_grace_s = {grace}\n"))
    };
    let ended = tokio::task::spawn_blocking(move || {
        // None: whoever has a turn that runs hears that it was interrupted.
        let home = with_grace(0);
        let serve = Serve::start(&home);
        let (token, began) = (first_token(&home), Instant::now());
        let worker = companion(&serve, &token);
        let (code, said) = serve.end();
        assert_eq!(code, Some(0), "{said}");
        assert!(began.elapsed() < PATIENCE, "the model was not waited for");
        let again = Serve::start(&home);
        let (_, turn) = again.ask(&token, &format!("/v1/workers/{worker}/turns/1"), None);
        assert_eq!(turn["outcome"]["status"], "interrupted", "{turn}");
        drop(again);

        // An hour, which a second signal ends.
        let home = with_grace(3600);
        let mut serve = Serve::of({
            let mut command = home.command(&["serve", "--listen", "127.0.0.1:0"]);
            command.stderr(Stdio::null());
            command
        });
        let token = first_token(&home);
        companion(&serve, &token);
        send_signal(&serve.child, "TERM");
        until_it_drains(&serve);
        assert!(serve.child.try_wait().expect("a child").is_none(), "the turn has its grace");
        send_signal(&serve.child, "TERM");
        assert_eq!(wait(&mut serve.child).code(), Some(130));
    });
    ended.await.expect("no panic");
}

fn until_it_drains(serve: &Serve) {
    let begin = Instant::now();
    while serve.ask("", "/readyz", None).0 != 503 {
        assert!(begin.elapsed() < PATIENCE, "it does not drain");
    }
}

/// A Runtime with a turn that runs until somebody cancels it, and an hour to end.
#[cfg(target_os = "linux")]
async fn with_a_long_turn(test: impl FnOnce(&Home) + Send + 'static) {
    let server = model(ResponseTemplate::new(200).set_delay(PATIENCE)).await;
    let home = model_at(&server, "HOME");
    let config = std::fs::read_to_string(home.path().join("config/yoi/yoi.toml")).expect("text");
    let home = Home::with_config(&format!("{config}[server]\nshutdown_grace_s = 3600\n"));
    tokio::task::spawn_blocking(move || test(&home)).await.expect("no panic");
}

/// `yoi serve`, started by a program that says what SIGHUP does.
#[cfg(target_os = "linux")]
fn serve_below(home: &Home, program: &[&str]) -> Serve {
    let yoi = [env!("CARGO_BIN_EXE_yoi"), "serve", "--listen", "127.0.0.1:0"];
    Serve::of(home.program(program[0], &[&program[1..], &yoi].concat()))
}

#[cfg(target_os = "linux")]
fn cancel(serve: &Serve, token: &str, worker: &str) {
    let path = format!("/v1/workers/{worker}/cancel");
    assert_eq!(serve.ask(token, &path, Some(json!({}))).0, 202);
}

// Whoever runs the tests may have it ignored, and what is ignored is inherited.
#[cfg(target_os = "linux")]
const HANG_UP_COUNTS: [&str; 2] = ["env", "--default-signal=HUP"];

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_hang_up_ends_it_as_a_request_to_terminate_does() {
    with_a_long_turn(|home| {
        // What runs has its grace.
        let mut serve = serve_below(home, &HANG_UP_COUNTS);
        let token = first_token(home);
        let worker = companion(&serve, &token);
        send_signal(&serve.child, "HUP");
        until_it_drains(&serve);
        assert!(serve.child.try_wait().expect("a child").is_none(), "the turn has its grace");
        cancel(&serve, &token, &worker);
        assert_eq!(wait(&mut serve.child).code(), Some(0));

        // And a second one ends it at once.
        let mut serve = serve_below(home, &HANG_UP_COUNTS);
        companion(&serve, &token);
        send_signal(&serve.child, "HUP");
        until_it_drains(&serve);
        send_signal(&serve.child, "HUP");
        assert_eq!(wait(&mut serve.child).code(), Some(130));
    })
    .await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_hang_up_is_nothing_to_who_was_started_with_it_ignored() {
    with_a_long_turn(|home| {
        let mut serve = serve_below(home, &["nohup"]);
        let token = first_token(home);
        let worker = companion(&serve, &token);
        // If it counted, the next one would be the second, which ends it at once and with another code.
        send_signal(&serve.child, "HUP");
        send_signal(&serve.child, "TERM");
        until_it_drains(&serve);
        assert!(serve.child.try_wait().expect("a child").is_none(), "the turn has its grace");
        cancel(&serve, &token, &worker);
        assert_eq!(wait(&mut serve.child).code(), Some(0));
    })
    .await;
}
