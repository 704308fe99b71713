//! `yoi up` where other machines reach it: TLS, and a password.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::{Command, Stdio},
};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use serde_json::{Value, json};

use crate::{Ended, Home, OFFLINE, Up, json_lines, terminal::Terminal};

const PASSWORD: &str = "correct horse battery";
const OPEN: [&str; 3] = ["up", "--listen", "0.0.0.0:0"];

/// A certificate that names no address of this machine, and the configuration that names it.
fn home_with_tls() -> Home {
    let home = Home::with_config(&format!(
        "{OFFLINE}[server]\nnames = [\"far.example\"]\n\
         [server.tls]\ncertificate = \"chain.pem\"\nkey = \"key.pem\"\n"
    ));
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["far.example".to_owned()]).expect("a certificate");
    let beside_the_config = |name| home.path().join("config/yoi").join(name);
    fs::write(beside_the_config("chain.pem"), cert.pem()).expect("written");
    let key = beside_the_config("key.pem");
    fs::write(&key, signing_key.serialize_pem()).expect("written");
    fs::set_permissions(key, fs::Permissions::from_mode(0o600)).expect("a mode");
    home
}

/// Sets the password by standard input.
fn set(home: &Home, input: &str) -> Ended {
    let mut command = home.command(&["password", "set"]);
    let mut child = command.stdin(Stdio::piped()).spawn().expect("yoi starts");
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("input");
    Ended::of(child.wait_with_output().expect("yoi ends"))
}

fn file(home: &Home) -> PathBuf {
    home.data_dir().join("password")
}

/// Asks with curl, which is one more implementation of TLS.
fn curl(home: &Home, port: &str, arguments: &[&str]) -> String {
    let trusted = home.path().join("config/yoi/chain.pem");
    let ended = Command::new("curl")
        .args(["--silent", "--show-error", "--max-time", "60", "--cacert"])
        .arg(trusted)
        .args(["--resolve", &format!("far.example:{port}:127.0.0.1"), "--noproxy", "*"])
        .args(arguments)
        .output();
    let ended = Ended::of(ended.expect("curl starts"));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    ended.stdout
}

#[test]
fn other_machines_reach_a_backend_with_a_certificate_and_a_password_and_its_own_finds_it() {
    let home = home_with_tls();
    let without = home.yoi(&OPEN);
    assert_eq!(without.code, Some(1), "{without:?}");
    assert!(without.stderr.contains("password set --data-dir"), "{without:?}");
    assert!(without.stdout.is_empty(), "it was not ready for anybody");
    assert_eq!(set(&home, &format!("{PASSWORD}\n")).code, Some(0));

    let up = Up::of(home.command(&OPEN));
    let port = up.link.strip_prefix("https://far.example:").expect("a URL with TLS, and no token");
    // The certificate names another machine than 127.0.0.1, and nobody vouches for it.
    let created = json_lines(&home.succeed(&["--json", "worker", "create", "echo"]));
    assert_eq!(created[0]["profile"], "echo");
    let url = home.yoi(&["url"]);
    assert_eq!(url.code, Some(1), "{url:?}");
    assert!(url.stderr.contains("sign in with the password"), "{url:?}");

    let origin = format!("https://far.example:{port}");
    let jar = home.path().join("cookies");
    let jar = jar.to_str().expect("text");
    let body = json!({ "password": PASSWORD }).to_string();
    let login = format!("{origin}/api/login");
    let from = format!("Origin: {origin}");
    let post = ["--header", &from, "--json", &body, "--cookie-jar", jar, &login];
    assert_eq!(curl(&home, port, &post), "");
    let workers = curl(&home, port, &["--cookie", jar, &format!("{origin}/api/workers")]);
    let workers: Value = serde_json::from_str(&workers).expect("JSON");
    assert_eq!(workers["workers"][0]["worker_id"], created[0]["worker_id"], "{workers}");
}

#[test]
fn the_command_line_gives_its_token_to_the_certificate_it_knows_and_to_no_other() {
    let home = home_with_tls();
    let up = Up::of(home.command(&["up", "--listen", "127.0.0.1:0"]));
    assert!(up.link.starts_with("https://127.0.0.1:") && up.link.contains("token="), "{}", up.link);
    assert!(home.succeed(&["url"]).starts_with("https://127.0.0.1:"), "links work on loopback");

    let announced = home.data_dir().join("backend.json");
    let text = fs::read_to_string(&announced).expect("text");
    let backend: Value = serde_json::from_str(&text).expect("JSON");
    let fingerprint = backend["fingerprint"].as_str().expect("a fingerprint");
    let other = text.replace(fingerprint, &fingerprint.replace(['0', '1', '2', '3'], "f"));
    assert_ne!(other, text);
    fs::write(&announced, other).expect("written");
    let refused = home.yoi(&["worker", "ls"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    let token = backend["token"].as_str().expect("a token");
    assert!(!refused.stderr.contains(token), "{refused:?}");

    // By its address, it is the system that trusts.
    let url = backend["url"].as_str().expect("an address");
    let mut by_address = home.command(&["worker", "ls", "--backend", url]);
    let untrusted = Ended::of(by_address.env("YOI_TOKEN", token).output().expect("yoi starts"));
    assert_eq!(untrusted.code, Some(1), "{untrusted:?}");
}

#[test]
fn a_password_is_read_from_standard_input_and_never_from_the_command_line() {
    let home = Home::new();
    for (input, why) in [
        ("", "standard input is empty"),
        ("\n", "at least 12 characters"),
        ("too short\n", "at least 12 characters"),
        ("a bell \u{7} is in this\n", "control characters"),
    ] {
        let refused = set(&home, input);
        assert_eq!(refused.code, Some(1), "{input:?}: {refused:?}");
        assert!(refused.stderr.contains(why), "{input:?}: {refused:?}");
    }
    assert_eq!(home.yoi(&["password", "set", PASSWORD]).code, Some(2));
    assert!(!home.data_dir().exists(), "what is refused leaves nothing behind");

    // What follows the first line is not looked at.
    let done = set(&home, &format!("{PASSWORD}\r\nmore"));
    assert_eq!((done.code, done.stdout.as_str()), (Some(0), ""), "{done:?}");
    let kept = fs::read_to_string(file(&home)).expect("text");
    assert!(kept.starts_with("$argon2id$"), "{kept}");
    assert_eq!(fs::metadata(file(&home)).expect("a file").permissions().mode() & 0o777, 0o600);
    home.succeed(&["password", "rm"]);
    assert!(!file(&home).exists());
    let none = home.yoi(&["password", "rm"]);
    assert_eq!(none.code, Some(1));
    assert!(none.stderr.contains("there is no password"), "{none:?}");
}

#[test]
fn a_password_that_is_typed_is_not_shown_and_has_to_be_typed_twice() {
    let home = Home::new();
    let mut command = home.command(&["password", "set"]);
    command.env("TERM", "xterm");
    let mut terminal = Terminal::start(&command);
    terminal.wait_for("the new password");
    terminal.line(PASSWORD);
    terminal.wait_for("once more");
    terminal.line("correct horse and another");
    terminal.wait_for("not the same");
    assert_eq!(terminal.ended(), Some(1));
    assert!(!terminal.all().contains("horse"), "{}", terminal.all());
    assert!(!file(&home).exists());

    let mut terminal = Terminal::start(&command);
    terminal.wait_for("the new password");
    terminal.line(PASSWORD);
    terminal.wait_for("once more");
    terminal.line(PASSWORD);
    assert_eq!(terminal.ended(), Some(0));
    assert!(!terminal.all().contains("horse"), "{}", terminal.all());
    assert!(file(&home).exists());
}

#[test]
fn a_terminal_shows_what_is_typed_again_after_an_interrupt() {
    let home = Home::new();
    let mut terminal = Terminal::start(&home.command(&["password", "set"]));
    terminal.wait_for("the new password");
    assert!(!terminal.echoes());
    terminal.send("\x03");
    assert_eq!(terminal.ended(), Some(130));
    assert!(terminal.echoes());
    assert!(!file(&home).exists());
}

#[test]
fn a_password_that_others_can_read_is_refused_at_the_start_and_by_the_doctor() {
    let home = home_with_tls();
    assert_eq!(set(&home, PASSWORD).code, Some(0));
    let hash = fs::read_to_string(file(&home)).expect("text");
    fs::set_permissions(file(&home), fs::Permissions::from_mode(0o644)).expect("a mode");
    for listen in ["0.0.0.0:0", "127.0.0.1:0"] {
        let refused = home.yoi(&["up", "--listen", listen]);
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(refused.stderr.contains("chmod 600"), "{refused:?}");
        assert!(!refused.stderr.contains(hash.trim()), "{refused:?}");
    }
    let doctor = home.yoi(&["doctor"]);
    assert_eq!(doctor.code, Some(1), "{doctor:?}");
    let line = doctor.stdout.lines().find(|line| line.contains(" password "));
    let line = line.unwrap_or_else(|| panic!("{doctor:?}"));
    assert!(line.starts_with("FAIL") && line.contains("chmod 600"), "{line}");
    assert!(!doctor.stdout.contains("argon2"), "{doctor:?}");
}

#[test]
fn the_doctor_knows_what_an_address_takes_that_other_machines_reach() {
    let found = |home: &Home, name: &str| {
        let report = json_lines(&home.yoi(&["--json", "doctor"]).stdout).remove(0);
        let findings = report["findings"].as_array().expect("findings").clone();
        findings.into_iter().find(|found| found["name"] == name)
    };
    let plain = Home::with_config(&format!("{OFFLINE}[server]\nlisten = \"0.0.0.0:8900\"\n"));
    let address = found(&plain, "address").expect("a finding");
    assert_eq!(address["status"], "fail", "{address}");
    assert!(address["remedy"].as_str().is_some_and(|text| text.contains("`tls`")), "{address}");

    let home = home_with_tls();
    assert!(found(&home, "password").is_none(), "nobody needs one on loopback");
    let config = home.path().join("config/yoi/yoi.toml");
    let text = fs::read_to_string(&config).expect("text");
    let open = text.replace("[server]\n", "[server]\nlisten = \"0.0.0.0:8900\"\n");
    fs::write(&config, open).expect("written");
    let missing = found(&home, "password").expect("a finding");
    assert_eq!(missing["status"], "warn", "{missing}");
    assert!(missing["remedy"].as_str().is_some_and(|text| text.contains("password set")));
    assert!(found(&home, "address").is_none());
    assert_eq!(set(&home, PASSWORD).code, Some(0));
    assert_eq!(found(&home, "password").expect("a finding")["status"], "ok");
}
