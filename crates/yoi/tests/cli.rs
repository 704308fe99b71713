//! The `yoi` command as people and programs meet it: the real binary, in a home of its own.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use insta::assert_snapshot;
use serde_json::Value;
use tempfile::TempDir;
use wiremock::MockServer;

#[cfg(target_os = "linux")]
#[path = "cli/attach.rs"]
mod attach;
#[path = "cli/coder.rs"]
mod coder;
#[cfg(target_os = "linux")]
#[path = "cli/confinement.rs"]
mod confinement;
#[path = "cli/doctor.rs"]
mod doctor;
#[path = "cli/durable.rs"]
mod durable;
#[path = "cli/exec.rs"]
mod exec;
#[path = "cli/grants.rs"]
mod grants;
#[path = "cli/models.rs"]
mod models;
#[cfg(unix)]
#[path = "cli/operations.rs"]
mod operations;
#[path = "cli/runtimes.rs"]
mod runtimes;
#[path = "cli/serve.rs"]
mod serve;
#[cfg(unix)]
#[path = "cli/serve_tls.rs"]
mod serve_tls;
#[cfg(target_os = "linux")]
#[path = "cli/shell.rs"]
mod shell;
#[path = "cli/store.rs"]
mod store;
#[cfg(target_os = "linux")]
#[path = "cli/terminal.rs"]
mod terminal;
#[cfg(target_os = "linux")]
#[path = "cli/up_tls.rs"]
mod up_tls;

/// A configuration that asks nobody outside for a model, whatever runs on this machine.
const OFFLINE: &str = "[models.default]\nprovider = \"offline\"\n";

/// Far longer than anything here takes, so that only what hangs is caught by it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A user's home with nothing in it but a configuration.
struct Home(TempDir);

impl Home {
    fn new() -> Self {
        Self::with_config(OFFLINE)
    }

    fn with_config(config: &str) -> Self {
        let home = Self(tempfile::tempdir().expect("a home"));
        let directory = home.path().join("config/yoi");
        fs::create_dir_all(&directory).expect("a directory");
        fs::write(directory.join("yoi.toml"), config).expect("a configuration");
        home
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn data_dir(&self) -> PathBuf {
        self.path().join("data/yoi")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        self.program(env!("CARGO_BIN_EXE_yoi"), arguments)
    }

    fn program(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .env("HOME", self.path())
            .env("XDG_CONFIG_HOME", self.path().join("config"))
            .env("XDG_DATA_HOME", self.path().join("data"))
            .current_dir(self.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn yoi(&self, arguments: &[&str]) -> Ended {
        Ended::of(self.command(arguments).output().expect("yoi starts"))
    }

    /// Runs it, and expects it to succeed; what it printed.
    fn succeed(&self, arguments: &[&str]) -> String {
        let ended = self.yoi(arguments);
        assert_eq!(ended.code, Some(0), "{arguments:?}: {ended:?}");
        ended.stdout
    }
}

#[derive(Debug)]
struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Ended {
    fn of(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("text"),
            stderr: String::from_utf8(output.stderr).expect("text"),
        }
    }
}

/// A running `yoi up`, ended when the test is.
struct Up {
    child: Child,
    link: String,
}

impl Up {
    fn start(home: &Home) -> Self {
        Self::of(home.command(&["up", "--listen", "127.0.0.1:0"]))
    }

    /// What `command` starts.
    fn of(mut command: Command) -> Self {
        let mut child = command.spawn().expect("yoi up");
        let mut line = String::new();
        let stdout = child.stdout.as_mut().expect("a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        let Some(link) = line.strip_prefix("yoi is ready: ") else {
            let mut stderr = String::new();
            child.stderr.take().expect("a pipe").read_to_string(&mut stderr).expect("text");
            panic!("not ready: {line}{stderr}");
        };
        let link = link.trim_end().to_owned();
        Self { child, link }
    }

    fn signal(&self, signal: &str) {
        send_signal(&self.child, signal);
    }

    fn wait(&mut self) -> ExitStatus {
        wait(&mut self.child)
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn send_signal(child: &Child, signal: &str) {
    signal_to(child.id(), signal);
}

fn signal_to(process: u32, signal: &str) {
    let status = Command::new("kill")
        .args([format!("-{signal}"), process.to_string()])
        .status()
        .expect("kill starts");
    assert!(status.success());
}

/// Waits for its end. One that hangs is killed.
fn wait(child: &mut Child) -> ExitStatus {
    let process = child.id();
    // Waiting would close it, and that may be what it waits for.
    let stdin = child.stdin.take();
    let (waiting, is_over) = mpsc::channel::<()>();
    let watch = thread::spawn(move || {
        let hangs = is_over.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout);
        if hangs {
            signal_to(process, "KILL");
        }
        hangs
    });
    let status = child.wait().expect("a child");
    drop(waiting);
    assert!(!watch.join().expect("no panic"), "it does not end");
    child.stdin = stdin;
    status
}

/// With the key of the model in a variable.
fn model_at(server: &MockServer, variable: &str) -> Home {
    Home::with_config(&format!(
        "[models.default]\nprovider = \"openai\"\nmodel = \"m\"\nbase_url = \"{}/v1/\"\n\
         api_key_env = \"{variable}\"\n",
        server.uri()
    ))
}

fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

#[test]
fn the_help_teaches() {
    assert_snapshot!(Home::new().succeed(&["--help"]), @r#"
    Runs AI workers that nobody has to trust

    Usage: yoi [OPTIONS] <COMMAND>

    Commands:
      up           Start the Backend: an embedded Runtime, the Browser API and the console
      serve        Start a Runtime process: the same Runtime, over HTTP
      runtime      List and add the Runtimes of a running Backend, and operate a Runtime process
      token        Make, list and remove the tokens that let in to a Runtime process
      password     Set or remove the password of the console
      url          Print a fresh one-time link to the running Backend's console
      run          Run one Worker for one turn in this process, and keep nothing
      exec         Run any WASI command, with only the directories it is given
      shell        Run scripts, or a session, of a bash-compatible shell that has only the directories it is given
      component    Look into components
      worker       List, create and talk to the Workers of a running Backend, or of a Runtime process [alias: workers]
      store        Check and back up the logs in a data directory, also while it is in use
      doctor       Check what this machine can do, and say what would mend what it cannot
      completions  Print the completions of a shell
      help         Print this message or the help of the given subcommand(s)

    Options:
          --config <FILE>  The configuration [default: yoi/yoi.toml in $XDG_CONFIG_HOME or ~/.config, if there is one]
          --json           Print JSON for programs instead of text for people
      -h, --help           Print help
      -V, --version        Print version

    Examples:
      yoi up                           start the Backend and its console
      yoi run companion "hello"        ask once, keep nothing
      yoi exec --dir . tool.wasm       any WASI command, with this directory to read and no more
      yoi shell --dir .:rw             a bash that has this directory, and nothing else
      yoi worker create companion      a Worker that stays
      yoi worker send 1f8a3c02 "hi"    talk to it: any end or beginning of its id will do
      yoi serve                        a Runtime for Backends elsewhere, over HTTP
      yoi doctor                       what this machine can do, and what is missing

    Models: [models.default] in yoi.toml, else the usual environment variables (OPENAI_API_KEY, …),
    else a local Ollama, else a small rule-based model that says what it is.

    Exit codes:
      0    done
      1    refused or failed
      2    the command line makes no sense
      3    no Backend, or no Runtime process, can be reached
      4    logs are damaged
      130  interrupted
    "#);
}

#[test]
fn a_command_line_that_makes_no_sense_exits_with_2() {
    let home = Home::new();
    for line in [
        &["fly"][..],
        &["run"],
        &["run", "Not A Name", "x"],
        &["worker", "ls", "--label", "x"],
        &["worker", "ls", "--status", "x"],
        &["worker", "send", "x", "x", "--if-busy", "x"],
        &["worker", "attach", "x", "--all", "--from", "0"],
        &["worker", "send", "x", "x", "--idempotency-key", "x x"],
    ] {
        let ended = home.yoi(line);
        assert_eq!(ended.code, Some(2), "{line:?}: {ended:?}");
    }
}

#[test]
fn an_unknown_key_in_the_configuration_is_refused_at_its_line() {
    let home = Home::with_config("[models.default]\nprovider = \"offline\"\nmodle = \"x\"\n");
    for line in [&["run", "echo", "hi"][..], &["up", "--listen", "127.0.0.1:0"], &["worker", "ls"]]
    {
        let ended = home.yoi(line);
        assert_eq!(ended.code, Some(1), "{line:?}: {ended:?}");
        assert!(
            ended.stderr.contains("yoi.toml:3:1: models.default.modle: unknown key"),
            "{ended:?}"
        );
        assert!(ended.stderr.contains("expected one of `provider`, `model`"), "{ended:?}");
        assert!(ended.stdout.is_empty());
    }
    fs::write(home.path().join("other.toml"), OFFLINE).expect("another configuration");
    assert_eq!(home.yoi(&["--config", "other.toml", "run", "echo", "hi"]).code, Some(0));
}

#[test]
fn run_prints_the_answer_alone_and_says_what_is_granted() {
    let home = Home::new();
    let ended = home.yoi(&["run", "echo", "hi"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), "hi\n"), "{ended:?}");
    assert_eq!(ended.stderr, "no grants\n");
    let ended = home.yoi(&["run", "companion", "hello"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.starts_with("[offline model] "), "{ended:?}");
    assert_eq!(ended.stdout.matches('\n').count(), 1);
    let asks = "may ask the model default (the offline model, which follows a few fixed rules)\n";
    assert_eq!(ended.stderr, asks);
    assert!(!home.data_dir().exists(), "nothing is kept");
}

#[test]
fn run_reads_standard_input() {
    let home = Home::new();
    let mut child =
        home.command(&["run", "echo", "-"]).stdin(Stdio::piped()).spawn().expect("yoi run");
    child.stdin.take().expect("a pipe").write_all("two\nlines\n".as_bytes()).expect("input");
    let ended = Ended::of(child.wait_with_output().expect("yoi ends"));
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), "two\nlines\n"), "{ended:?}");
}

#[test]
fn run_prints_events_as_json_lines() {
    let events = json_lines(&Home::new().succeed(&["--json", "run", "echo", "hi"]));
    let kinds: Vec<&str> = events.iter().filter_map(|event| event["type"].as_str()).collect();
    assert_eq!(kinds.first(), Some(&"worker.created"));
    assert_eq!(kinds.last(), Some(&"turn.ended"));
    assert_eq!(events.last().expect("events")["outcome"]["status"], "completed");
}

#[test]
fn an_unknown_profile_is_refused_with_those_there_are() {
    let ended = Home::new().yoi(&["run", "poet", "hi"]);
    assert_eq!(ended.code, Some(1));
    assert_snapshot!(ended.stderr, @"yoi: there is no profile `poet`; this Runtime has: coder, companion, echo, shell");
}

#[test]
fn a_profile_without_its_grant_fails_and_names_the_grant() {
    let home = Home::with_config(&format!("{OFFLINE}[policy.companion]\n"));
    let ended = home.yoi(&["run", "companion", "hello"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("no grants") && ended.stderr.contains("`llm`"), "{ended:?}");
    let cure = "write `[policy.companion]` and below it `llm = [\"default\"]` in ";
    assert!(ended.stderr.contains(cure), "{ended:?}");
    let ended = home.yoi(&["--json", "run", "companion", "hello"]);
    let remarks = json_lines(&ended.stderr);
    let last = remarks.last().expect("an error");
    assert_eq!(last["code"], "missing_grant");
    assert!(last["error"].as_str().is_some_and(|error| error.contains(cure)), "{last}");
}

#[test]
fn an_empty_input_is_refused_before_anything_starts() {
    let home = Home::new();
    for line in [&["run", "echo", ""][..], &["worker", "send", "1f8a3c02", ""]] {
        let ended = home.yoi(line);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.stderr.ends_with("yoi: the input is empty\n"), "{ended:?}");
    }
}

#[test]
fn a_backend_serves_workers_until_it_is_asked_to_end() {
    let home = Home::new();
    let mut up = Up::start(&home);
    assert!(
        up.link.starts_with("http://127.0.0.1:") && up.link.contains("/?token="),
        "{}",
        up.link
    );
    assert!(home.succeed(&["worker", "ls"]).is_empty());

    let id = home.succeed(&["worker", "create", "echo", "--name", "Ada", "--label", "a=b"]);
    let id = id.trim_end();
    let talking = home.yoi(&["worker", "create", "companion", "hello"]);
    assert_eq!(talking.code, Some(0), "{talking:?}");
    assert!(talking.stdout.starts_with("[offline model] "), "{talking:?}");

    let listed = home.succeed(&["worker", "ls", "--label", "a=b", "--status", "idle"]);
    let short = listed.lines().nth(1).and_then(|row| row.split(' ').next()).expect("one row");
    assert!(id.ends_with(short) && short.len() < id.len(), "{listed}");
    assert!(listed.contains("Ada") && listed.lines().count() == 2, "{listed}");

    assert_eq!(home.succeed(&["worker", "send", short, "\x1b[1mone"]), "\x1b[1mone\n");
    assert_eq!(home.succeed(&["worker", "send", id, "two", "--no-wait"]), "");
    let shown = home.succeed(&["worker", "show", short]);
    assert!(
        shown.contains(id) && shown.contains("grants       none") && shown.contains("a=b"),
        "{shown}"
    );
    // What is shown to people is never a terminal's to obey. The second turn may still run.
    let said = "you: ␛[1mone\nworker: ␛[1mone\nyou: two\nworker: two\n";
    let begin = Instant::now();
    while home.succeed(&["worker", "transcript", short]) != said {
        assert!(begin.elapsed() < PATIENCE, "{}", home.succeed(&["worker", "transcript", short]));
    }
    home.succeed(&["worker", "logs", short, "--turn", "1"]);
    let silent = home.yoi(&["worker", "logs", short, "--turn", "99"]);
    assert_eq!((silent.code, silent.stdout.as_str()), (Some(0), ""));
    assert_eq!(silent.stderr, "no lines of turn 99 are kept\n");

    home.succeed(&["worker", "stop", short]);
    let refused = home.yoi(&["worker", "send", short, "three"]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("the Worker is stopped"), "{refused:?}");
    let view = json_lines(&home.succeed(&["--json", "worker", "start", short]));
    assert_eq!(view[0]["status"], "idle");
    home.succeed(&["worker", "cancel", short]);
    assert_eq!(home.yoi(&["worker", "show", "ffffffff"]).code, Some(1));
    assert_eq!(home.yoi(&["worker", "create", "poet"]).code, Some(1));

    let link = home.succeed(&["url"]);
    assert!(link.starts_with("http://127.0.0.1:") && link.trim_end() != up.link, "{link}");

    up.signal("TERM");
    assert_eq!(up.wait().code(), Some(0));
    let ended = home.yoi(&["worker", "ls"]);
    assert_eq!(ended.code, Some(3));
    assert_snapshot!(ended.stderr, @"yoi: no Backend is running: start one with `yoi up`");
}

#[cfg(unix)]
#[test]
fn the_backends_token_is_for_its_owner_and_goes_with_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = Home::new();
    let mut up = Up::start(&home);
    let file = home.data_dir().join("backend.json");
    let mode = fs::metadata(&file).expect("the file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let backend: Value = serde_json::from_slice(&fs::read(&file).expect("readable")).expect("JSON");
    assert_eq!(backend["pid"], up.child.id());
    let url = backend["url"].as_str().expect("an address");
    let token = backend["token"].as_str().expect("a token");
    let by_address = |token: &str| {
        let mut command = home.command(&["worker", "ls", "--backend", url]);
        Ended::of(command.env("YOI_TOKEN", token).output().expect("yoi starts"))
    };
    assert_eq!(by_address(token).code, Some(0));
    let refused = by_address("wrong");
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("not signed in"), "{refused:?}");
    up.signal("INT");
    assert_eq!(up.wait().code(), Some(0));
    assert!(!file.exists());
    assert_eq!(by_address(token).code, Some(3));
}

#[test]
fn a_backend_that_was_killed_counts_as_not_running() {
    let home = Home::new();
    let mut up = Up::start(&home);
    up.signal("KILL");
    up.wait();
    assert!(home.data_dir().join("backend.json").exists());
    assert_eq!(home.yoi(&["url"]).code, Some(3));
    Up::start(&home);
}

#[test]
fn up_refuses_a_taken_port_an_open_address_and_a_taken_directory() {
    let home = Home::new();
    let up = Up::start(&home);
    let address = up.link["http://".len()..].split('/').next().expect("an address");
    let other = home.path().join("other");
    let other = other.to_str().expect("text");
    let ended = home.yoi(&["up", "--listen", address, "--data-dir", other]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("is taken") && ended.stderr.contains("--listen"), "{ended:?}");
    let ended = home.yoi(&["up", "--listen", "0.0.0.0:0", "--data-dir", other]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("other machines"), "{ended:?}");
    for listen in ["127.0.0.1:0", address] {
        let ended = home.yoi(&["up", "--listen", listen]);
        assert_eq!(ended.code, Some(1));
        assert!(ended.stderr.contains("yoi runs already"), "{ended:?}");
        let hint = format!("`{} url` prints a link", env!("CARGO_BIN_EXE_yoi"));
        assert!(ended.stderr.contains(&hint) && ended.stderr.contains("--data-dir"), "{ended:?}");
    }
}

#[test]
fn components_are_compiled_within_limits_and_up_keeps_what_was_compiled() {
    let home = Home::with_config(&format!("{OFFLINE}[limits]\ncompile_ms = 1\n"));
    let ended = home.yoi(&["run", "echo", "hi"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("longer than the limit of 1 ms"), "{ended:?}");
    assert!(ended.stderr.contains("`compile_ms`"), "it says what to do: {ended:?}");

    let home = Home::new();
    drop(Up::start(&home));
    let kept = fs::read_dir(home.data_dir().join("components")).expect("a directory");
    let kept = kept.map(|entry| entry.expect("a file").path());
    let artifacts = kept.filter(|path| path.extension().is_some_and(|name| name == "aot"));
    assert_eq!(artifacts.count(), 4, "coder, companion, echo and the Worker that runs scripts");
}

#[test]
fn completions_are_there_for_every_shell() {
    let home = Home::with_config("broken");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(home.succeed(&["completions", shell]).contains("transcript"), "{shell}");
    }
}
