//! What outlives the program, and what is asked more than once or of a Worker that is busy.

use std::{
    fs,
    io::{BufRead as _, BufReader, Seek as _, SeekFrom, Write as _},
    path::PathBuf,
    process::Stdio,
    time::Instant,
};

use serde_json::Value;
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::any};

use crate::{Ended, Home, PATIENCE, Up, json_lines, model_at};

impl Home {
    fn database(&self) -> PathBuf {
        self.data_dir().join("log/log.sqlite3")
    }

    fn create(&self, arguments: &[&str]) -> String {
        let created = self.succeed(&[&["worker", "create"][..], arguments].concat());
        created.trim_end().to_owned()
    }

    /// What `yoi up` says where it does not start.
    fn refused_up(&self) -> String {
        let ended = self.yoi(&["up", "--listen", "127.0.0.1:0"]);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{ended:?}");
        assert!(ended.stderr.contains("--data-dir names another directory"), "{ended:?}");
        ended.stderr
    }
}

#[test]
fn what_was_said_survives_a_kill_and_the_worker_goes_on() {
    let home = Home::new();
    let mut up = Up::start(&home);
    let id = home.create(&["echo", "--name", "Ada"]);
    assert_eq!(home.succeed(&["worker", "send", &id, "one"]), "one\n");
    let stopped = home.create(&["echo"]);
    home.succeed(&["worker", "stop", &stopped]);
    up.signal("KILL");
    up.wait();

    let mut up = Up::start(&home);
    let said = "you: one\nworker: one\n";
    assert_eq!(home.succeed(&["worker", "transcript", &id]), said);
    assert_eq!(home.succeed(&["worker", "send", &id, "two"]), "two\n");
    assert!(home.succeed(&["worker", "ls", "--status", "stopped"]).contains(&stopped[28..]));
    assert_eq!(home.succeed(&["worker", "ls", "--status", "unavailable"]), "");
    up.signal("TERM");
    assert_eq!(up.wait().code(), Some(0));

    let _up = Up::start(&home);
    let said = format!("{said}you: two\nworker: two\n");
    assert_eq!(home.succeed(&["worker", "transcript", &id]), said);
    let shown = home.succeed(&["worker", "show", &id]);
    assert!(shown.contains("Ada") && shown.contains("turns        2 in "), "{shown}");
    assert!(shown.contains("turn 1       completed in "), "{shown}");
}

#[cfg(unix)]
#[test]
fn what_is_kept_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = Home::new();
    let _up = Up::start(&home);
    let mode = fs::metadata(home.data_dir().join("log")).expect("logs").permissions().mode();
    assert_eq!(mode & 0o077, 0, "{mode:o}");
}

#[test]
fn logs_that_cannot_be_opened_are_refused_with_a_way_out_and_left_as_they_are() {
    let home = Home::new();
    let mut up = Up::start(&home);
    home.create(&["echo"]);
    up.signal("TERM");
    assert_eq!(up.wait().code(), Some(0));

    // The version of the database, which SQLite keeps at this place of its header.
    let mut database = fs::OpenOptions::new().write(true).open(home.database()).expect("logs");
    database.seek(SeekFrom::Start(60)).expect("a place");
    database.write_all(&99_i32.to_be_bytes()).expect("another version");
    drop(database);
    let before = fs::read(home.database()).expect("logs");
    let newer = home.refused_up();
    assert!(newer.contains("have version 99") && newer.contains("use a newer yoi"), "{newer}");
    assert_eq!(fs::read(home.database()).expect("logs"), before);

    fs::write(home.database(), "nothing that anybody knows".repeat(100)).expect("other bytes");
    assert!(home.refused_up().contains("restore the whole directory from a backup"));

    fs::remove_dir_all(home.data_dir().join("log")).expect("no logs");
    fs::write(home.data_dir().join("log"), "a file").expect("a file");
    assert!(home.refused_up().contains("name a directory that this user can write to"));
}

#[tokio::test]
async fn an_input_for_a_busy_worker_is_refused_queued_or_steered() {
    let server = MockServer::start().await;
    let silence = ResponseTemplate::new(200).set_delay(PATIENCE);
    Mock::given(any()).respond_with(silence).mount(&server).await;
    let home = model_at(&server, "HOME");
    let talked = tokio::task::spawn_blocking(move || {
        let _up = Up::start(&home);
        let id = home.create(&["companion"]);
        let send = |arguments: &[&str]| {
            home.yoi(&[&["worker", "send", &id, "hi", "--no-wait"][..], arguments].concat())
        };
        assert_eq!(send(&[]).stderr, "turn 1 is accepted\n");
        let refused = send(&["--if-busy", "reject"]);
        assert_eq!(refused.code, Some(1));
        assert!(refused.stderr.contains("busy with turn 1"), "{refused:?}");
        assert_eq!(send(&["--if-busy", "queue"]).stderr, "queued: it will be turn 2\n");
        assert_eq!(send(&["--if-busy", "steer"]).stderr, "given to turn 1, which runs\n");

        let refused = home.yoi(&["worker", "rm", &id]);
        assert_eq!(refused.code, Some(1));
        let cure = format!("run `{} worker stop {id}`", env!("CARGO_BIN_EXE_yoi"));
        assert!(refused.stderr.contains(&cure), "{refused:?}");
        let refused = home.yoi(&["--json", "worker", "rm", &id]);
        assert_eq!(json_lines(&refused.stderr)[0]["code"], "worker_not_stopped");
        home.succeed(&["worker", "stop", &id]);
        let shown = home.succeed(&["worker", "show", &id]);
        assert!(shown.contains("turn 1       cancelled by the stop in "), "{shown}");
        assert!(shown.contains("turn 2       cancelled by the stop\n"), "it took nothing: {shown}");
        let said = home.succeed(&["worker", "transcript", &id]);
        assert!(
            said.starts_with("you: hi\n")
                && said.contains("\nturn cancelled: the Worker was stopped\n"),
            "{said}"
        );
        assert!(said.contains("\nturn 2 cancelled before it did anything\n"), "{said}");
        let some = home.succeed(&["worker", "show", &id, "--turns", "1"]);
        assert!(
            some.contains("of these     the last 1 of ") && !some.contains("turn 1 "),
            "{some}"
        );
        let refused = send(&[]);
        let cure = format!("run `{} worker start {id}`", env!("CARGO_BIN_EXE_yoi"));
        assert!(refused.stderr.contains(&cure), "{refused:?}");
        let deleted = home.yoi(&["worker", "rm", &id]);
        assert_eq!(deleted.code, Some(0));
        assert_eq!(deleted.stderr, format!("{id} is deleted\n"));
        assert_eq!(home.yoi(&["worker", "show", &id]).code, Some(1));
    });
    talked.await.expect("no panic");
}

#[tokio::test]
async fn who_waits_for_an_answer_when_the_backend_is_killed_is_told_what_became_of_the_input() {
    let server = MockServer::start().await;
    let silence = ResponseTemplate::new(200).set_delay(PATIENCE);
    Mock::given(any()).respond_with(silence).mount(&server).await;
    let home = model_at(&server, "HOME");
    let talked = tokio::task::spawn_blocking(move || {
        let mut up = Up::start(&home);
        let id = home.create(&["companion"]);
        let mut sending = home.command(&["--json", "worker", "send", &id, "hi"]);
        let mut sending = sending.spawn().expect("yoi starts");
        // It prints what happens once the input is acknowledged.
        let mut printed = BufReader::new(sending.stdout.take().expect("a pipe"));
        printed.read_line(&mut String::new()).expect("an event");
        up.signal("KILL");
        up.wait();
        let ended = Ended::of(sending.wait_with_output().expect("it ends"));
        assert_eq!(ended.code, Some(3), "{ended:?}");
        assert!(ended.stderr.contains("was accepted as turn 1"), "{ended:?}");
        let look = format!("`{} worker show {id}`", env!("CARGO_BIN_EXE_yoi"));
        assert!(ended.stderr.contains(&look), "{ended:?}");

        let _up = Up::start(&home);
        let begin = Instant::now();
        while !home.succeed(&["worker", "ls", "--status", "idle"]).contains(&id[28..]) {
            assert!(begin.elapsed() < PATIENCE, "the interrupted turn does not end");
        }
        let shown = home.succeed(&["worker", "show", &id]);
        assert!(shown.contains("turn 1       interrupted; what it took is unknown\n"), "{shown}");
        assert!(shown.contains("turns        1\n"), "{shown}");
    });
    talked.await.expect("no panic");
}

#[test]
fn an_input_that_is_sent_twice_with_its_key_is_given_once() {
    let home = Home::new();
    let mut up = Up::start(&home);
    let id = home.create(&["echo"]);
    let send = |input| home.yoi(&["worker", "send", &id, input, "--idempotency-key", "k"]);
    let first = send("hi");
    assert_eq!((first.stdout.as_str(), first.stderr.as_str()), ("hi\n", ""));
    let again = send("hi");
    assert_eq!(again.stdout, "hi\n");
    let said = "accepted earlier with this key, as turn 1: given once, not again\n";
    assert_eq!(again.stderr, said);
    up.signal("KILL");
    up.wait();
    let _up = Up::start(&home);
    assert_eq!(send("hi").stdout, "hi\n");
    let other = send("ho");
    assert_eq!(other.code, Some(1));
    assert!(other.stderr.contains("used with another request"), "{other:?}");
    assert_eq!(home.succeed(&["worker", "transcript", &id]), "you: hi\nworker: hi\n");
}

#[test]
fn a_transcript_says_where_an_item_is_cut_and_how_to_see_all_of_it() {
    let home = Home::new();
    let _up = Up::start(&home);
    let id = home.create(&["echo"]);
    let long = "word ".repeat(20 << 10);
    let mut child = home.command(&["worker", "send", &id, "-"]).stdin(Stdio::piped()).spawn();
    let child = child.as_mut().expect("yoi worker send");
    child.stdin.take().expect("a pipe").write_all(long.as_bytes()).expect("input");
    let mut answer = String::new();
    std::io::Read::read_to_string(child.stdout.as_mut().expect("a pipe"), &mut answer)
        .expect("text");
    assert_eq!(answer.trim_end(), long.trim_end());
    assert!(crate::wait(child).success());

    let cut = home.succeed(&["worker", "transcript", &id]);
    let lines: Vec<&str> = cut.lines().collect();
    let [you, how, worker, _] = lines[..] else { panic!("{}", lines.len()) };
    assert!(you.starts_with("you: word") && worker.starts_with("worker: word"));
    let yoi = env!("CARGO_BIN_EXE_yoi");
    let bytes = long.len();
    let said = format!(
        "    … cut: it has {bytes} bytes; `{yoi} worker transcript {id} --item 1` prints all of it"
    );
    assert_eq!(how, said);
    let whole = home.succeed(&["worker", "transcript", &id, "--item", "1"]);
    assert_eq!(whole, format!("you: {long}\n"));
    let json = json_lines(&home.succeed(&["--json", "worker", "transcript", &id]));
    let sizes: Vec<&Value> = json.iter().map(|item| &item["cut_of_bytes"]).collect();
    assert_eq!(sizes, [bytes, bytes]);
    let whole = json_lines(&home.succeed(&["--json", "worker", "transcript", &id, "--item", "2"]));
    assert_eq!((&whole[0]["text"], &whole[0]["cut_of_bytes"]), (&long.into(), &Value::Null));
    let missing = Ended::of(
        home.command(&["worker", "transcript", &id, "--item", "9"]).output().expect("yoi starts"),
    );
    assert_eq!(missing.code, Some(1));
    assert!(missing.stderr.contains("the Worker has no item 9"), "{missing:?}");
}
