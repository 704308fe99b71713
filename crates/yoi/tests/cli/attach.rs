//! `yoi worker attach`: somebody in a terminal, and programs that read.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    process::{Child, ChildStdout, Stdio},
};

use serde_json::{Value, json};
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::any};

use super::{
    Ended, Home, OFFLINE, Up, json_lines, model_at, send_signal, terminal::Terminal, wait,
};

/// A home with a profile whose Workers do what they are told, however bad.
fn home() -> Home {
    let home = Home::with_config(&format!("{OFFLINE}[profiles.doer]\ncomponent = \"doer.wasm\"\n"));
    fs::write(home.path().join("config/yoi/doer.wasm"), test_guests::HOSTILE_BASE)
        .expect("a Worker");
    home
}

fn create(home: &Home, profile: &str) -> String {
    home.succeed(&["worker", "create", profile]).trim_end().to_owned()
}

/// Says something to a Worker, and waits until its turn has ended, however.
fn send(home: &Home, id: &str, input: &str) {
    let mut command = home.command(&["worker", "send", id, "-"]);
    let mut sending = command.stdin(Stdio::piped()).spawn().expect("yoi starts");
    sending.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("written");
    sending.wait_with_output().expect("it ends");
}

/// Somebody in a terminal who has been welcomed.
fn attached(home: &Home, id: &str) -> Terminal {
    let mut terminal = Terminal::start(&home.command(&["worker", "attach", id]));
    terminal.wait_for(&format!("attached to {id}"));
    terminal.wait_for("\r\n");
    terminal
}

/// Nobody who types, and a program that reads.
struct Reader {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Reader {
    fn start(home: &Home, arguments: &[&str]) -> Self {
        let mut child = home.command(arguments).spawn().expect("yoi starts");
        let lines = BufReader::new(child.stdout.take().expect("a pipe"));
        Self { child, lines }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("a line");
        line
    }

    /// Reads lines until one is as wanted.
    fn until(&mut self, wanted: impl Fn(&str) -> bool) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let line = self.line();
            assert!(!line.is_empty(), "it ended: {lines:?}");
            lines.push(line);
            if wanted(&lines[lines.len() - 1]) {
                return lines;
            }
        }
    }

    /// How it ended, the rest of what it printed, and what it said.
    fn ended(mut self) -> Ended {
        let status = wait(&mut self.child);
        let (mut stdout, mut stderr) = (String::new(), String::new());
        self.lines.read_to_string(&mut stdout).expect("text");
        self.child.stderr.take().expect("a pipe").read_to_string(&mut stderr).expect("text");
        Ended { code: status.code(), stdout, stderr }
    }
}

#[test]
fn somebody_who_attaches_sees_what_was_and_what_comes_and_is_heard() {
    let home = home();
    let _up = Up::start(&home);
    let id = create(&home, "doer");
    send(&home, &id, "hello");
    let mut terminal = Terminal::start(&home.command(&["worker", "attach", &id[28..]]));
    terminal.wait_for("you: hello\r\nworker: hello\r\n");
    terminal.wait_for("turn 1 completed in ");
    terminal.wait_for("attached to ");
    // What somebody else says is seen, and so is what is typed.
    send(&home, &id, "tool: {\"a\":1}");
    terminal.wait_for("you: tool: {\"a\":1}\r\n");
    terminal.wait_for("working {\"a\":1}");
    terminal.wait_for("tool result: worked\r\n");
    terminal.wait_for("turn 2 completed in ");
    terminal.line("fail: no luck");
    terminal.wait_for("you: fail: no luck\r\n");
    terminal.wait_for("turn 3 failed in ");
    terminal.wait_for(": no luck\r\n");
    terminal.send("\x04");
    terminal.wait_for(&format!(
        "detached: the Worker goes on; `{} worker attach {id}` attaches again",
        yoi()
    ));
    assert_eq!(terminal.ended(), Some(0));
}

fn yoi() -> &'static str {
    env!("CARGO_BIN_EXE_yoi")
}

#[test]
fn text_is_seen_before_the_turn_ends_and_an_interruption_cancels_it_and_then_detaches() {
    let home = home();
    let _up = Up::start(&home);
    let id = create(&home, "doer");
    let mut terminal = attached(&home, &id);
    terminal.line("utter-hang");
    terminal.wait_for("worker: before the hang");
    terminal.send("\x03");
    terminal.wait_for("cancelling turn 1; Ctrl-C once more detaches\r\n");
    terminal.wait_for("worker: cut off");
    terminal.wait_for("turn 1 cancelled in ");
    terminal.send("\x03");
    terminal.wait_for("detached: ");
    assert_eq!(terminal.ended(), Some(0));
    assert!(terminal.all().ends_with(" attaches again\r\n"), "the last word: {}", terminal.all());
    assert!(home.succeed(&["worker", "ls", "--status", "idle"]).contains(&id[28..]));
}

#[test]
fn a_second_interruption_detaches_and_so_does_the_end_of_the_terminal_and_neither_ends_the_turn() {
    let home = home();
    let up = Up::start(&home);
    let id = create(&home, "doer");
    let mut terminal = attached(&home, &id);
    terminal.line("utter-hang");
    terminal.wait_for("worker: before the hang");
    // Nobody carries the cancellation out.
    up.signal("STOP");
    terminal.send("\x03");
    terminal.wait_for("cancelling turn 1");
    terminal.send("\x03");
    terminal.wait_for("detached: ");
    assert_eq!(terminal.ended(), Some(0));
    assert!(terminal.all().ends_with(" attaches again\r\n"), "the last word: {}", terminal.all());
    up.signal("CONT");

    let id = create(&home, "doer");
    home.succeed(&["worker", "send", &id, "utter-hang", "--no-wait"]);
    let mut reader = Reader::start(&home, &["worker", "attach", &id]);
    reader.until(|line| line == "you: utter-hang\n");
    send_signal(&reader.child, "TERM");
    let ended = reader.ended();
    assert_eq!(ended.code, Some(130), "{ended:?}");
    let last = ended.stderr.lines().last().expect("a line");
    assert!(last.starts_with("detached: the Worker goes on"), "{ended:?}");
    assert!(home.succeed(&["worker", "ls", "--status", "running"]).contains(&id[28..]));
}

#[test]
fn a_backend_that_is_started_anew_is_found_and_nothing_is_lost_or_shown_twice() {
    let home = home();
    let mut up = Up::start(&home);
    let id = create(&home, "doer");
    let mut json = Reader::start(&home, &["--json", "worker", "attach", &id, "--from", "0"]);
    json.until(|line| line.contains("worker.created"));
    let mut terminal = attached(&home, &id);
    terminal.line("utter-hang");
    terminal.wait_for("worker: before the hang");
    up.signal("KILL");
    up.wait();
    terminal.wait_for("disconnected: ");
    // It is kept until somebody can have it.
    terminal.line("said to nobody");
    // At another address, and with another token.
    let _up = Up::start(&home);
    terminal.wait_for("connected again\r\n");
    let shown = terminal.wait_for("turn 1 interrupted; what it took is unknown");
    assert!(!shown.contains("before the hang"), "{shown}");
    terminal.wait_for("you: said to nobody\r\nworker: said to nobody\r\n");
    terminal.wait_for("turn 2 completed in ");
    home.succeed(&["worker", "stop", &id]);
    terminal.wait_for(&format!("the Worker is stopped: `{} worker start {id}` starts it", yoi()));
    assert_eq!(terminal.ended(), Some(0));

    let ended = json.ended();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stderr.contains("disconnected: ") && ended.stderr.contains("connected again"));
    let seqs: Vec<u64> =
        json_lines(&ended.stdout).iter().filter_map(|event| event["seq"].as_u64()).collect();
    // The first was read before.
    let expected: Vec<u64> = (2..).take(seqs.len()).collect();
    assert!(seqs.len() > 6 && seqs == expected, "{seqs:?}");
}

#[test]
fn a_stopped_worker_is_shown_to_its_end_for_people_and_as_events() {
    let home = home();
    let _up = Up::start(&home);
    let id = create(&home, "doer");
    for command in ["stop", "start"] {
        home.succeed(&["worker", command, &id]);
    }
    send(&home, &id, "utter: one |two");
    home.succeed(&["worker", "stop", &id]);
    let shown = home.yoi(&["worker", "attach", &id]);
    assert_eq!(shown.code, Some(0), "{shown:?}");
    assert!(
        shown.stdout.starts_with("you: utter: one |two\nworker: one two\nturn 1 completed in ")
    );
    assert!(shown.stderr.contains("the Worker is stopped: "), "{shown:?}");

    let events = home.succeed(&["--json", "worker", "attach", &id, "--from", "0"]);
    let events = json_lines(&events);
    let kinds: Vec<&str> = events.iter().filter_map(|event| event["type"].as_str()).collect();
    assert_eq!(kinds[..3], ["worker.created", "worker.stopped", "worker.started"]);
    assert_eq!(kinds[kinds.len() - 1], "worker.stopped");
    assert_eq!(home.succeed(&["--json", "worker", "attach", &id]), "", "nothing comes any more");
    let refused = home.yoi(&["--json", "worker", "attach", &id, "--last", "3"]);
    assert!(refused.code == Some(1) && refused.stderr.contains("--from"), "{refused:?}");
}

#[test]
fn as_much_is_shown_of_what_was_as_was_asked_for() {
    let home = home();
    let _up = Up::start(&home);
    let id = create(&home, "doer");
    send(&home, &id, "say-many: 130");
    home.succeed(&["worker", "stop", &id]);
    let lines = |arguments: &[&str]| {
        let shown = home.succeed(&[&["worker", "attach", &id][..], arguments].concat());
        shown.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let last = lines(&["--last", "2"]);
    let [more, one, two, end] = &last[..] else { panic!("{last:?}") };
    assert!(more.contains("--all shows it"), "{more}");
    assert_eq!([one.as_str(), two], ["worker: message 128", "worker: message 129"]);
    assert!(end.starts_with("turn 1 completed in "), "{end}");
    assert_eq!(lines(&["--last", "0"]), [""; 0]);
    assert_eq!(lines(&[]).len(), 22);
    let all = lines(&["--all"]);
    assert_eq!((all.len(), all[0].as_str()), (132, "you: say-many: 130"));
    assert_eq!(all[130], "worker: message 129");
}

#[test]
fn what_a_worker_says_is_for_no_terminal_to_obey_and_looks_like_nobody_elses() {
    let home = home();
    let _up = Up::start(&home);
    let id = create(&home, "doer");
    let evil =
        "utter: \x1b]0;owned\x07a\x1b[2J|\r\u{9b}31m\u{202e}b\nyou: c\n\nturn 9 completed|\0";
    let mut terminal = attached(&home, &id);
    send(&home, &id, evil);
    let shown = terminal.wait_for("turn 1 completed in ");
    for obeyed in ["\x1b]", "\x1b[2J", "\u{9b}", "\u{202e}", "\0", "\x07"] {
        assert!(!shown.contains(obeyed), "{shown:?}");
    }
    assert!(shown.contains("worker: ␛]0;owned␇a␛[2J␍"), "{shown:?}");
    assert!(shown.contains("\r\n    you: c\r\n\r\n    turn 9 completed␀"), "{shown:?}");
    terminal.send("\x04");
    assert_eq!(terminal.ended(), Some(0));

    home.succeed(&["worker", "stop", &id]);
    let piped = home.succeed(&["worker", "attach", &id]);
    assert!(!piped.contains(['\x1b', '\0', '\r']) && piped.contains("␛]0;owned␇"), "{piped:?}");
}

#[test]
fn who_attaches_and_does_not_read_ends_when_told_to() {
    let home = home();
    let _up = Up::start(&home);
    let id = create(&home, "doer");
    for _ in 0..4 {
        send(&home, &id, "say: 60000");
    }
    let mut reader = Reader::start(&home, &["worker", "attach", &id]);
    let mut begin = [0];
    reader.lines.get_mut().read_exact(&mut begin).expect("it begins");
    send_signal(&reader.child, "TERM");
    assert_eq!(wait(&mut reader.child).code(), Some(130));
}

#[tokio::test]
async fn what_a_model_thinks_is_folded_to_a_line() {
    let piece = |delta: Value| {
        format!("data: {}\n\n", json!({ "choices": [{ "index": 0, "delta": delta }] }))
    };
    let body = [
        piece(json!({ "role": "assistant", "reasoning_content": "First " })),
        piece(json!({ "reasoning_content": "this.\nThen that." })),
        piece(json!({ "content": "Good day" })),
        format!(
            "data: {}\n\n",
            json!({ "choices": [{ "index": 0, "delta": {}, "finish_reason": "stop" }] })
        ),
        "data: [DONE]\n\n".to_owned(),
    ];
    let server = MockServer::start().await;
    let answer = ResponseTemplate::new(200).set_body_raw(body.concat(), "text/event-stream");
    Mock::given(any()).respond_with(answer).mount(&server).await;
    let home = model_at(&server, "HOME");
    let shown = tokio::task::spawn_blocking(move || {
        let _up = Up::start(&home);
        let id = create(&home, "companion");
        let mut terminal = attached(&home, &id);
        terminal.line("hello");
        let shown = terminal.wait_for("turn 1 completed in ");
        terminal.send("\x04");
        assert_eq!(terminal.ended(), Some(0));
        shown
    });
    let shown = shown.await.expect("no panic");
    assert!(shown.contains("\x1b[2mreasoning: \x1b[22m"), "{shown:?}");
    assert!(shown.contains("this.…") && !shown.contains("Then that"), "{shown:?}");
    assert!(
        shown.contains("it has 22 bytes; `") && shown.contains("--item 2` prints"),
        "{shown:?}"
    );
    assert!(shown.contains("worker (default): Good day\r\n"), "{shown:?}");
}
