//! `yoi serve` and `yoi token`: a Runtime process as operators run it.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    process::{Child, Command},
};
#[cfg(unix)]
use std::{
    os::unix::{
        fs::{MetadataExt as _, chown},
        process::CommandExt as _,
    },
    path::Path,
};

use serde_json::{Value, json};

use crate::{Ended, Home, OFFLINE, json_lines, send_signal, wait};

/// A running `yoi serve`, ended when the test is.
pub(crate) struct Serve {
    pub(crate) child: Child,
    pub(crate) url: String,
}

impl Serve {
    pub(crate) fn start(home: &Home) -> Self {
        Self::of(home.command(&["serve", "--listen", "127.0.0.1:0"]))
    }

    /// What `command` starts.
    pub(crate) fn of(mut command: Command) -> Self {
        let mut child = command.spawn().expect("the program starts");
        let mut line = String::new();
        let stdout = child.stdout.as_mut().expect("a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        let Some(url) = line.trim_end().strip_prefix("yoi serves a Runtime: ") else {
            let mut stderr = String::new();
            child.stderr.take().expect("a pipe").read_to_string(&mut stderr).expect("text");
            panic!("not ready: {line}{stderr}");
        };
        let url = url.to_owned();
        Self { child, url }
    }

    /// Asks it, and returns the status and the answer.
    pub(crate) fn ask(&self, token: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let url = format!("{}{path}", self.url);
        let asked = async {
            let client = reqwest::Client::new();
            let request = match body {
                Some(body) => client.post(url).json(&body),
                None => client.get(url),
            };
            let answer = request.bearer_auth(token).send().await.expect("an answer");
            let status = answer.status().as_u16();
            let body = answer.bytes().await.expect("all of it");
            (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
        };
        let threads = tokio::runtime::Builder::new_current_thread().enable_all().build();
        threads.expect("a thread").block_on(asked)
    }

    /// Asks it to end, and returns how it did, and what it has said.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        send_signal(&self.child, "TERM");
        let code = wait(&mut self.child).code();
        let mut said = String::new();
        self.child.stderr.take().expect("a pipe").read_to_string(&mut said).expect("text");
        (code, said)
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The token that the first start leaves for whoever can read the data directory.
pub(crate) fn first_token(home: &Home) -> String {
    let file = home.data_dir().join("first-token");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(&file).expect("the file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    std::fs::read_to_string(file).expect("a token").trim().to_owned()
}

#[test]
fn a_runtime_serves_those_with_a_token_and_keeps_its_workers() {
    let home = Home::new();
    let serve = Serve::start(&home);
    let token = first_token(&home);
    assert_eq!(serve.ask("wrong", "/v1/runtime", None).0, 401);
    let (status, runtime) = serve.ask(&token, "/v1/runtime", None);
    assert_eq!((status, &runtime["runtime_id"]), (200, &json!("runtime")));
    let new = json!({ "profile": "echo" });
    let (status, worker) = serve.ask(&token, "/v1/workers", Some(new));
    assert_eq!(status, 201, "{worker}");
    let id = worker["worker_id"].as_str().expect("an id").to_owned();
    let input = format!("/v1/workers/{id}/input?wait_ms=60000");
    let (status, ended) = serve.ask(&token, &input, Some(json!({ "text": "hi" })));
    assert_eq!((status, &ended["outcome"]["status"]), (200, &json!("completed")), "{ended}");

    let (code, said) = serve.end();
    assert_eq!(code, Some(0));
    assert!(said.contains("audit") && said.contains(&id), "who commanded what: {said}");
    assert!(!said.contains(&token), "{said}");

    let serve = Serve::start(&home);
    let (status, again) = serve.ask(&token, &format!("/v1/workers/{id}"), None);
    assert_eq!((status, &again["usage"]["turns"]), (200, &json!(1)), "{again}");
}

#[test]
fn the_workers_of_a_runtime_are_there_for_who_has_its_token() {
    let home = Home::new();
    let serve = Serve::start(&home);
    let elsewhere = Home::new();
    let (token, url) = (first_token(&home), serve.url.clone());
    let far = |arguments: &[&str]| {
        let arguments = [&["worker"], arguments, &["--runtime", &url]].concat();
        Ended::of(elsewhere.command(&arguments).env("YOI_TOKEN", &token).output().expect("yoi"))
    };
    let created = far(&["create", "companion", "--name", "Ada", "hello"]);
    assert_eq!(created.code, Some(0), "{created:?}");
    assert!(created.stdout.starts_with("[offline model] Hello!"), "{created:?}");
    let mut told = created.stderr.lines();
    let id = told.next().expect("an id").to_owned();
    assert!(told.eq(["it may ask the model default"]), "{created:?}");
    let listed = far(&["ls"]);
    assert!(listed.stdout.contains("Ada") && listed.stdout.contains("companion"), "{listed:?}");
    let sent = far(&["send", &id, "how are you?"]);
    assert!(sent.stdout.contains("You have said 2 things"), "{sent:?}");
    let transcript = far(&["transcript", &id]);
    assert!(transcript.stdout.starts_with("you: hello\n"), "{transcript:?}");
    let shown = far(&["show", &id]);
    assert!(shown.stdout.contains("may ask the model"), "{shown:?}");
    assert_eq!(far(&["rm", &id]).code, Some(1), "it is not stopped");
    for command in ["stop", "rm"] {
        assert_eq!(far(&[command, &id]).code, Some(0), "{command}");
    }
    assert_eq!(far(&["ls"]).stdout, "");

    let without = elsewhere.yoi(&["worker", "ls", "--runtime", &url]);
    assert!(without.stderr.contains("YOI_TOKEN"), "{without:?}");
    let mut wrong = elsewhere.command(&["worker", "ls", "--runtime", &url]);
    let wrong = Ended::of(wrong.env("YOI_TOKEN", "wrong").output().expect("yoi"));
    assert!(wrong.stderr.contains("none of this Runtime"), "{wrong:?}");
    drop(serve);
    assert_eq!(far(&["ls"]).code, Some(3), "there is nobody to ask");
}

#[test]
fn a_component_is_pushed_gone_by_and_removed() {
    let home = Home::new();
    let serve = Serve::start(&home);
    let (token, url) = (first_token(&home), serve.url.clone());
    let far = |arguments: &[&str]| {
        let arguments = [arguments, &["--runtime", &url]].concat();
        Ended::of(home.command(&arguments).env("YOI_TOKEN", &token).output().expect("yoi"))
    };
    let file = home.path().join("base.wasm");
    std::fs::write(&file, test_guests::HOSTILE_BASE).expect("written");
    let pushed = far(&["component", "push", file.to_str().expect("text")]);
    let digest = pushed.stdout.trim();
    assert!(digest.starts_with("sha256:"), "{pushed:?}");

    let created = far(&["worker", "create", "echo", "--name", "Ada"]);
    let id = created.stdout.split_whitespace().next().expect("an id").to_owned();
    assert_eq!(far(&["worker", "upgrade", &id, digest]).code, Some(0));
    let in_use = far(&["component", "rm", digest]);
    assert_eq!(in_use.code, Some(1), "{in_use:?}");
    assert!(in_use.stderr.contains("in use"), "{in_use:?}");
    for command in ["stop", "rm"] {
        assert_eq!(far(&["worker", command, &id]).code, Some(0), "{command}");
    }
    assert_eq!(far(&["component", "rm", digest]).code, Some(0));
    assert_eq!(far(&["component", "rm", digest]).code, Some(1), "it is gone");

    let (_, said) = serve.end();
    let line = |method: &str| {
        let mut lines = said.lines().filter(|line| line.contains("audit") && line.contains(method));
        lines.find(|line| line.contains(digest)).unwrap_or_else(|| panic!("{method}: {said}"))
    };
    assert!(line("\"POST\"").contains("/v1/components\""), "what was kept: {said}");
    assert!(line("\"DELETE\"").contains("peer=127.0.0.1"), "and removed, and by whom: {said}");
}

#[test]
fn a_token_counts_at_once_and_no_longer_than_it_is_there() {
    let home = Home::new();
    let serve = Serve::start(&home);
    let new = ["--json", "token", "new", "--scope", "observe", "--name", "watcher"];
    let made = json_lines(&home.succeed(&new)).remove(0);
    let text = |key: &str| made[key].as_str().expect("text").to_owned();
    let (id, token) = (text("id"), text("token"));
    assert_eq!(serve.ask(&token, "/v1/workers", None).0, 200);
    assert_eq!(serve.ask(&token, "/v1/workers", Some(json!({ "profile": "echo" }))).0, 403);
    let listed = home.succeed(&["token", "ls"]);
    assert!(listed.contains(&format!("{id}  observe  watcher")), "{listed}");
    assert!(!listed.contains(&token), "{listed}");
    home.succeed(&["token", "rm", &id]);
    assert_eq!(serve.ask(&token, "/v1/workers", None).0, 401);
    let again = home.yoi(&["token", "rm", &id]);
    assert_eq!(again.code, Some(1), "{again:?}");
}

#[test]
fn a_token_with_a_ceiling_that_makes_no_sense_is_refused_and_nothing_is_written() {
    let new = |home: &Home, ceiling: &str| {
        let ended = home.yoi(&["token", "new", "--scope", "command", "--ceiling", ceiling]);
        assert!(ended.stdout.is_empty(), "no token is shown: {ended:?}");
        assert!(!home.data_dir().exists(), "{ended:?}");
        ended
    };
    let home = Home::with_config(&format!("{OFFLINE}[policy.echo]\n[policy.companion]\n"));
    let unknown = new(&home, "poet");
    assert_eq!(unknown.code, Some(1), "{unknown:?}");
    assert!(unknown.stderr.contains("there is no policy of `poet`"), "{unknown:?}");
    assert!(unknown.stderr.contains("companion, echo"), "{unknown:?}");
    // What names a file names no profile.
    for malformed in ["", "Not A Name", "./ceiling.json", "/etc/passwd"] {
        let malformed = new(&home, malformed);
        assert_eq!(malformed.code, Some(2), "{malformed:?}");
        assert!(malformed.stderr.contains("--ceiling <PROFILE>"), "{malformed:?}");
    }
    for (policy, why) in [
        ("shell = \"yes\"", "policy.coder.shell"),
        ("shel = true", "policy.coder.shel: unknown key"),
        ("llm = [\"nothing\"]", "nothing"),
        ("shell = ", "yoi.toml:4:"),
    ] {
        let home = Home::with_config(&format!("{OFFLINE}[policy.coder]\n{policy}\n"));
        let broken = new(&home, "coder");
        assert_eq!(broken.code, Some(1), "{broken:?}");
        assert!(broken.stderr.contains(why), "{broken:?}");
    }

    // Where there are tokens, they are what they were.
    home.succeed(&["token", "new", "--scope", "command", "--ceiling", "echo"]);
    let file = home.data_dir().join("tokens.json");
    let before = fs::read(&file).expect("its bytes");
    let refused = home.yoi(&["token", "new", "--scope", "command", "--ceiling", "poet"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert_eq!(fs::read(&file).expect("its bytes"), before);
}

/// A user that no machine gives anything to.
#[cfg(unix)]
pub(crate) const NOBODY: u32 = 65_534;

/// Makes `path`, and all that is in it, a user's.
#[cfg(unix)]
pub(crate) fn give_to(path: &Path, user: u32) {
    if path.is_dir() {
        for entry in fs::read_dir(path).expect("a directory") {
            give_to(&entry.expect("an entry").path(), user);
        }
    }
    chown(path, Some(user), Some(user)).expect("root may");
}

/// The files of a data directory, with whom each belongs to.
#[cfg(unix)]
fn owners(dir: &Path) -> Vec<(std::ffi::OsString, u32)> {
    let entries = fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry"));
    let owner = |entry: &fs::DirEntry| entry.metadata().expect("a file").uid();
    let mut owners: Vec<_> = entries.map(|entry| (entry.file_name(), owner(&entry))).collect();
    owners.sort();
    owners
}

#[cfg(unix)]
#[test]
fn root_changes_no_tokens_of_another_user_who_could_not_read_them_any_more() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: only root can write into the data directory of another user");
        return;
    }
    let home = Home::new();
    let new = ["token", "new", "--scope", "observe"];
    home.succeed(&new);
    let id = home.succeed(&["token", "ls"]).split(' ').next().expect("an id").to_owned();
    give_to(home.path(), NOBODY);
    let file = home.data_dir().join("tokens.json");
    let state = || (owners(&home.data_dir()), fs::read(&file).expect("its bytes"));
    let before = state();
    assert!(before.0.iter().any(|(name, owner)| name == "tokens.json" && *owner == NOBODY));
    for line in [&new[..], &["token", "rm", &id]] {
        let refused = home.yoi(line);
        assert_eq!(refused.code, Some(1), "{refused:?}");
        let way = format!("`sudo -u '#{NOBODY}' {} token", env!("CARGO_BIN_EXE_yoi"));
        assert!(refused.stderr.contains(&way), "{refused:?}");
        assert!(refused.stdout.is_empty(), "{refused:?}");
        assert_eq!(state(), before, "{line:?}");
    }

    // The way that it names.
    let mut command = home.command(&new);
    match command.uid(NOBODY).gid(NOBODY).output() {
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            eprintln!("SKIPPED: another user cannot execute yoi where it was built");
        }
        made => {
            let made = Ended::of(made.expect("yoi starts"));
            assert_eq!(made.code, Some(0), "{made:?}");
            assert_eq!(owners(&home.data_dir()), before.0);
            assert_ne!(fs::read(&file).expect("its bytes"), before.1);
        }
    }
}

#[test]
fn who_shows_wrong_tokens_again_and_again_waits_and_right_ones_count() {
    let home = Home::new();
    let serve = Serve::start(&home);
    assert_eq!(serve.ask("wrong", "/v1/runtime", None).0, 401);
    // However slow the machine is: it fails faster than it makes up for it.
    let refused = (0..100).map(|_| serve.ask("wrong", "/v1/runtime", None));
    let (_, problem) = refused.into_iter().find(|(status, _)| *status == 429).expect("a refusal");
    assert_eq!(problem["code"], "too_many_requests");
    let mut listing = home.command(&["worker", "ls", "--runtime", &serve.url]);
    let listing = Ended::of(listing.env("YOI_TOKEN", "wrong").output().expect("yoi"));
    assert_eq!(listing.code, Some(1), "it was reached: {listing:?}");
    assert!(listing.stderr.contains("too many wrong tokens"), "{listing:?}");
    assert_eq!(serve.ask(&first_token(&home), "/v1/runtime", None).0, 200);
}

#[test]
fn a_runtime_is_served_on_this_machine_only_and_once_for_each_directory() {
    let home = Home::new();
    let open = home.yoi(&["serve", "--listen", "0.0.0.0:0"]);
    assert_eq!(open.code, Some(1));
    assert!(open.stderr.contains("ssh -L"), "{open:?}");
    let _serve = Serve::start(&home);
    let second = home.yoi(&["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!(second.code, Some(1));
    assert!(second.stderr.contains("--data-dir"), "{second:?}");
}

#[test]
fn who_may_command_and_not_look_commands_by_the_whole_id_and_is_told_what_is_missing() {
    let home = Home::new();
    let serve = Serve::start(&home);
    let token = home.succeed(&["token", "new", "--scope", "command"]).trim().to_owned();
    let far = |arguments: &[&str]| {
        let arguments = [&["worker"], arguments, &["--runtime", &serve.url]].concat();
        Ended::of(home.command(&arguments).env("YOI_TOKEN", &token).output().expect("yoi"))
    };
    let lacks_observe = |ended: &Ended| {
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.stderr.contains("lacks the scope `observe`"), "{ended:?}");
    };
    let created = far(&["create", "companion"]);
    assert_eq!(created.code, Some(0), "{created:?}");
    let id = created.stdout.trim();
    let accepted = far(&["send", id, "hi", "--no-wait"]);
    assert_eq!(accepted.code, Some(0), "{accepted:?}");
    for arguments in [&["cancel", id][..], &["stop", id], &["start", id], &["revoke", id, "llm"]] {
        let done = far(arguments);
        assert_eq!(done.code, Some(0), "{done:?}");
        assert!(done.stderr.contains("done") && done.stderr.contains("`observe`"), "{done:?}");
    }
    let unseen = far(&["send", id, "hi", "--if-busy", "queue"]);
    lacks_observe(&unseen);
    assert!(unseen.stderr.contains("was accepted as turn"), "{unseen:?}");
    let part = far(&["stop", &id[id.len() - 8..]]);
    lacks_observe(&part);
    assert!(part.stderr.contains("with all of its id"), "{part:?}");
    for arguments in [&["ls"][..], &["show", id], &["transcript", id], &["logs", id]] {
        lacks_observe(&far(arguments));
    }
    for command in ["stop", "rm"] {
        assert_eq!(far(&[command, id]).code, Some(0), "{command}");
    }
    let (_, left) = serve.ask(&first_token(&home), "/v1/workers", None);
    assert_eq!(left["workers"], json!([]), "it is deleted");
}
