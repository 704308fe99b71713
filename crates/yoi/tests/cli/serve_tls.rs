//! `yoi serve` with TLS: the only way in which other machines reach a Runtime.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf};

use rcgen::{CertifiedKey, generate_simple_self_signed};

use crate::{Ended, Home, serve::Serve};

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
    for (trusted, url) in [
        (false, &url),
        (true, &format!("https://127.0.0.1:{port}")),
        (true, &format!("http://localhost:{port}")),
    ] {
        let refused = list(trusted, url);
        assert_eq!(refused.code, Some(3), "{url}, trusted: {trusted}: {refused:?}");
        assert!(!refused.stderr.contains(&token), "{refused:?}");
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
