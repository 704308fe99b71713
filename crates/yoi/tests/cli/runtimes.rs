//! `yoi runtime`: a Runtime process is added to a Backend, looked at, used and removed.

use std::fs;

use serde_json::json;

use crate::{
    Home, Up, json_lines,
    serve::{Serve, first_token},
};

/// A Backend, and a Runtime of another home whose token it can read.
fn backend_and_runtime() -> (Home, Up, Home, Serve) {
    let (home, elsewhere) = (Home::new(), Home::new());
    let serve = Serve::start(&elsewhere);
    let up = Up::start(&home);
    let tokens = home.data_dir().join("tokens");
    fs::create_dir_all(&tokens).expect("a directory");
    let file = tokens.join("far");
    fs::write(&file, first_token(&elsewhere)).expect("a token");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("its owner's");
    }
    (home, up, elsewhere, serve)
}

#[test]
fn a_runtime_is_added_looked_at_used_and_removed() {
    let (home, _up, _elsewhere, serve) = backend_and_runtime();
    let add = ["runtime", "add", "far", &serve.url, "--token-file", "far"];
    assert_eq!(home.succeed(&add), "far is added: ready\n");
    let again = home.yoi(&add);
    assert_eq!(again.code, Some(1), "{again:?}");
    assert!(again.stderr.contains("--replace"), "{again:?}");
    assert_eq!(home.succeed(&[&add[..], &["--replace"]].concat()), "far is replaced: ready\n");
    let unknown = ["runtime", "add", "gone", &serve.url, "--token-file", "far", "--replace"];
    assert_eq!(home.yoi(&unknown).code, Some(1));

    let listed = home.succeed(&["runtime", "ls"]);
    let rows: Vec<Vec<&str>> =
        listed.lines().map(|line| line.split_ascii_whitespace().collect()).collect();
    assert_eq!(rows[0], ["ID", "SOURCE", "STATUS", "VERSION", "NAME"]);
    assert_eq!(rows[1][..3], ["backend-internal", "embedded", "ready"]);
    assert_eq!(rows[2][..3], ["far", "remote", "ready"]);
    assert!(home.succeed(&["runtime", "test", "far"]).starts_with("it answers after "));

    let ambiguous = home.yoi(&["worker", "create", "echo"]);
    assert_eq!(ambiguous.code, Some(1), "{ambiguous:?}");
    assert!(ambiguous.stderr.contains("--runtime: backend-internal, far"), "{ambiguous:?}");
    let nowhere = ["worker", "create", "echo", "--runtime", "far", "--workspace", "moon"];
    let nowhere = home.yoi(&nowhere);
    assert!(nowhere.code == Some(1) && nowhere.stderr.contains("moon"), "{nowhere:?}");
    let id = home.succeed(&["worker", "create", "echo", "--runtime", "far"]);
    let id = id.trim_end();
    let alone = home.succeed(&["worker", "ls"]);
    assert!(!alone.contains("RUNTIME"), "{alone}");
    home.succeed(&["worker", "create", "echo", "--runtime", "backend-internal"]);
    let listed = home.succeed(&["worker", "ls"]);
    assert!(listed.lines().next().is_some_and(|head| head.contains("RUNTIME")), "{listed}");
    assert!(listed.lines().any(|row| row.contains(&id[28..]) && row.contains(" far ")), "{listed}");
    let of_far = home.succeed(&["worker", "ls", "--runtime", "far"]);
    assert_eq!(of_far.lines().count(), 2, "a heading and one Worker: {of_far}");
    let elsewhere = home.yoi(&["worker", "send", id, "hi", "--runtime", "backend-internal"]);
    assert_eq!(elsewhere.code, Some(1), "it is not there: {elsewhere:?}");
    assert_eq!(home.yoi(&["worker", "ls", "--runtime", "nowhere"]).code, Some(1));
    assert_eq!(home.succeed(&["worker", "send", id, "hi"]), "hi\n");

    let shown = home.succeed(&["runtime", "show", "far"]);
    for row in [
        "remote, added with `yoi runtime add`",
        "1 idle, 0 running, 0 stopped, 0 unavailable",
        "coder, companion, echo, shell",
        "offline: rules",
    ] {
        assert!(shown.contains(row), "{row}: {shown}");
    }
    assert!(
        home.succeed(&["runtime", "show", "backend-internal"]).contains("of the configuration")
    );

    let refused = home.yoi(&["runtime", "rm", "far"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert_eq!(home.succeed(&["runtime", "rm", "far", "--force"]), "");
    assert_eq!(home.yoi(&["runtime", "show", "far"]).code, Some(1));
}

#[test]
fn programs_read_of_runtimes_what_people_do_and_what_does_not_answer_says_so() {
    let (home, _up, _elsewhere, serve) = backend_and_runtime();
    let json = |line: &[&str]| json_lines(&home.succeed(&[&["--json"], line].concat()));
    let added = json(&["runtime", "add", "far", &serve.url, "--token-file", "far"]);
    assert_eq!((&added[0]["runtime_id"], &added[0]["managed_by"]), (&json!("far"), &json!("api")));
    let ids: Vec<_> =
        json(&["runtime", "ls"]).iter().map(|one| one["runtime_id"].clone()).collect();
    assert_eq!(ids, ["backend-internal", "far"]);
    assert_eq!(json(&["runtime", "show", "far"])[0]["status"], "ready");
    assert!(json(&["runtime", "test", "far"])[0]["latency_ms"].is_u64());

    assert_eq!(serve.end().0, Some(0));
    let listed = home.succeed(&["runtime", "ls"]);
    assert!(
        listed.lines().any(|row| row.starts_with("far") && row.contains("unavailable")),
        "{listed}"
    );
    let tried = home.yoi(&["--json", "runtime", "test", "far"]);
    assert_eq!(tried.code, Some(1), "{tried:?}");
    assert_eq!(json_lines(&tried.stderr)[0]["code"], "runtime_unavailable");
    let removed = json(&["runtime", "rm", "far", "--force"]);
    assert_eq!(removed, [json!({ "runtime_id": "far", "removed": true })]);
}
