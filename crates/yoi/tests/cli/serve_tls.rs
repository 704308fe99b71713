//! `yoi serve` with TLS: the only way in which other machines reach a Runtime.

use std::{
    fs,
    os::unix::{
        fs::{PermissionsExt as _, chown},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use serde_json::{Value, json};

use crate::{
    Ended, Home, json_lines,
    serve::{NOBODY, Serve, give_to},
};

fn beside_the_config(home: &Home, name: &str) -> PathBuf {
    home.path().join("config/yoi").join(name)
}

/// A certificate for `localhost`, its key, and the configuration that names both.
fn home_with_tls() -> Home {
    let home = Home::with_config(
        "[server]\nnames = [\"far.example\"]\n\
         [server.tls]\ncertificate = \"chain.pem\"\nkey = \"key.pem\"\n",
    );
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    fs::write(beside_the_config(&home, "chain.pem"), cert.pem()).expect("written");
    let key = beside_the_config(&home, "key.pem");
    fs::write(&key, signing_key.serialize_pem()).expect("written");
    fs::set_permissions(key, fs::Permissions::from_mode(0o640)).expect("a mode");
    home
}

fn new_token(home: &Home) -> String {
    home.succeed(&["token", "new", "--scope", "admin"]).trim().to_owned()
}

#[test]
fn other_machines_reach_a_runtime_that_has_a_certificate_and_tokens() {
    let home = home_with_tls();
    let open = ["serve", "--listen", "0.0.0.0:0"];
    let without_token = home.yoi(&open);
    assert_eq!(without_token.code, Some(1), "{without_token:?}");
    assert!(without_token.stderr.contains("token new"), "{without_token:?}");

    let token = new_token(&home);
    let serve = Serve::of(home.command(&open));
    let port = serve.url.strip_prefix("https://0.0.0.0:").expect("a URL with TLS");
    let list = |trusted: bool, url: &str| {
        let mut command = home.command(&["worker", "ls", "--runtime", url]);
        command.env("YOI_TOKEN", &token);
        if trusted {
            command.env("SSL_CERT_FILE", beside_the_config(&home, "chain.pem"));
        }
        Ended::of(command.output().expect("yoi"))
    };
    let url = format!("https://localhost:{port}");
    let listed = list(true, &url);
    assert_eq!(listed.code, Some(0), "{listed:?}");
    for (trusted, url, code) in [
        (false, &url, 1),
        (true, &format!("https://127.0.0.1:{port}"), 1),
        (true, &format!("http://localhost:{port}"), 3),
    ] {
        let refused = list(trusted, url);
        assert_eq!(refused.code, Some(code), "{url}, trusted: {trusted}: {refused:?}");
        assert!(!refused.stderr.contains(&token), "{refused:?}");
        assert_eq!(refused.stderr.lines().count(), 1, "{refused:?}");
    }
}

#[test]
fn a_key_that_everybody_can_read_or_that_is_none_is_refused() {
    let home = home_with_tls();
    let key = beside_the_config(&home, "key.pem");
    let refused = |why: &str| {
        let ended = home.yoi(&["serve", "--listen", "127.0.0.1:0"]);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.stderr.contains(why), "{ended:?}");
    };
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).expect("a mode");
    refused("chmod o=");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("a mode");
    fs::write(&key, "sesame").expect("written");
    refused("no private key in PEM");
    fs::remove_file(&key).expect("removed");
    refused("failed to read the key");
    refused("put it there");
}

#[test]
fn other_machines_do_not_reach_a_runtime_whose_tokens_have_all_expired() {
    let home = home_with_tls();
    for _ in 0..2 {
        home.succeed(&["token", "new", "--scope", "admin", "--expires", "1h"]);
    }
    let file = home.data_dir().join("tokens.json");
    let text = fs::read_to_string(&file).expect("text");
    let tokens: Value = serde_json::from_str(&text).expect("JSON");
    let with_ends = |ends: [&str; 2]| {
        let mut tokens = tokens.clone();
        for (token, end) in tokens["tokens"].as_array_mut().expect("tokens").iter_mut().zip(ends) {
            assert!(token["expires_at"].is_string(), "{token}");
            token["expires_at"] = json!(end);
        }
        fs::write(&file, tokens.to_string()).expect("written");
    };
    let open = ["serve", "--listen", "0.0.0.0:0"];
    with_ends(["2020-01-01T00:00:00Z", "2020-01-02T00:00:00Z"]);
    let expired = home.yoi(&open);
    assert_eq!(expired.code, Some(1), "{expired:?}");
    assert!(expired.stderr.contains("there is no token that counts"), "{expired:?}");
    assert!(expired.stderr.contains("token new"), "{expired:?}");
    assert_eq!(expired.stdout, "", "it was not ready for anybody");

    with_ends(["2020-01-01T00:00:00Z", "2999-01-01T00:00:00Z"]);
    drop(Serve::of(home.command(&open)));
}

/// What the doctor finds about TLS.
fn finding(said: &Ended) -> Value {
    let report = json_lines(&said.stdout).remove(0);
    let findings = report["findings"].as_array().expect("findings");
    let mut found = findings.iter().filter(|found| found["name"] == "tls");
    let finding = found.next().unwrap_or_else(|| panic!("nothing about TLS: {report}")).clone();
    assert_eq!(found.next(), None, "{report}");
    let is_healthy = report["ok"].as_bool().expect("a verdict");
    assert_eq!(said.code, Some(i32::from(!is_healthy)), "{said:?}");
    assert!(is_healthy == (finding["status"] == "ok"), "nothing else is wrong: {report}");
    finding
}

#[test]
fn the_doctor_says_what_is_wrong_with_the_files_of_tls() {
    let (home, other) = (home_with_tls(), home_with_tls());
    let (chain, key) = (beside_the_config(&home, "chain.pem"), beside_the_config(&home, "key.pem"));
    let found = || finding(&home.yoi(&["--json", "doctor"]));
    assert_eq!(found()["status"], "ok");

    let is_wrong = |why: &[&str]| {
        let found = found();
        assert_eq!(found["status"], "fail", "{why:?}: {found}");
        assert!(found["remedy"].as_str().is_some_and(|text| text.contains("[server]")), "{found}");
        let detail = found["detail"].as_str().expect("text");
        assert!(why.iter().all(|why| detail.contains(why)), "{why:?}: {found}");
        assert!(!detail.contains("PRIVATE"), "{found}");
    };
    let whole = |path: &Path| fs::read(path).expect("its bytes");
    let (kept_chain, kept_key) = (whole(&chain), whole(&key));
    fs::write(&key, whole(&beside_the_config(&other, "key.pem"))).expect("written");
    is_wrong(&["are not used", "key.pem", "the key is not that of the first certificate"]);
    fs::write(&key, &kept_key).expect("written");
    for (path, content, what) in
        [(&chain, &kept_chain, "the certificate"), (&key, &kept_key, "the key")]
    {
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
        let failed = format!("failed to read {what}");
        fs::remove_file(path).expect("removed");
        is_wrong(&[&failed, name, "No such file"]);
        fs::create_dir(path).expect("a directory");
        is_wrong(&[&failed, name, "no regular file"]);
        fs::remove_dir(path).expect("removed");
        fs::write(path, content).expect("written");
        fs::set_permissions(path, fs::Permissions::from_mode(0o640)).expect("a mode");
    }
    assert_eq!(found()["status"], "ok");
}

#[test]
fn the_doctor_says_that_it_may_not_read_the_key() {
    let home = home_with_tls();
    let key = beside_the_config(&home, "key.pem");
    let mut command = home.command(&["--json", "doctor"]);
    if rustix::process::geteuid().is_root() {
        // Root reads everything.
        give_to(home.path(), NOBODY);
        chown(&key, Some(0), Some(0)).expect("root may");
        command.uid(NOBODY).gid(NOBODY);
    } else {
        fs::set_permissions(&key, fs::Permissions::from_mode(0o000)).expect("a mode");
    }
    let said = match command.output() {
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            eprintln!("SKIPPED: another user cannot execute yoi where it was built");
            return;
        }
        said => Ended::of(said.expect("yoi starts")),
    };
    let found = finding(&said);
    assert_eq!(found["status"], "fail", "{found}");
    let detail = found["detail"].as_str().expect("text");
    assert!(detail.contains("failed to read the key"), "{found}");
    assert!(detail.contains("key.pem") && detail.contains("Permission denied"), "{found}");
}
