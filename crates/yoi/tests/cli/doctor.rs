//! `yoi doctor`: what it looks at, and what it says of what is broken.

use std::fs;

use serde_json::Value;

use crate::{Ended, Home, OFFLINE, json_lines};

/// The line that says something of `what`, and the one after it.
fn said<'a>(ended: &'a Ended, what: &str) -> (&'a str, &'a str) {
    let mut lines = ended.stdout.lines().skip_while(|line| !line.contains(what));
    let line = lines.next().unwrap_or_else(|| panic!("{what}: {ended:?}"));
    (line, lines.next().unwrap_or_default())
}

#[test]
fn a_component_that_is_none_is_refused_at_its_line_and_by_the_doctor() {
    let home =
        Home::with_config(&format!("{OFFLINE}[profiles.mine]\ncomponent = \"guests/mine.wasm\"\n"));
    let guests = home.path().join("config/yoi/guests");
    fs::create_dir(&guests).expect("a directory");
    fs::write(guests.join("mine.wasm"), "no component").expect("a file");
    let place = "yoi.toml:4:1: profiles.mine.component: `guests/mine.wasm`: not a Worker component";
    let ended = home.yoi(&["run", "mine", "hi"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains(place), "{ended:?}");
    let ended = home.yoi(&["doctor"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let failed: Vec<&str> = ended.stdout.lines().filter(|line| line.contains("FAIL")).collect();
    assert!(
        matches!(failed[..], [first, second] if first.contains("configuration")
            && first.contains(place)
            && second.contains("profile mine")),
        "{ended:?}"
    );
    assert!(ended.stdout.contains("rebuild it for wasm32-wasip2"), "{ended:?}");
    assert!(ended.stdout.contains("a turn took"), "the product's own guests run: {ended:?}");
}

#[test]
fn doctor_looks_at_everything_and_fails_on_what_is_broken() {
    let home = Home::new();
    let healthy = home.yoi(&["doctor"]);
    assert_eq!(healthy.code, Some(0), "{healthy:?}");
    assert!(healthy.stdout.contains("a turn took"), "{healthy:?}");
    let helper = healthy.stdout.lines().find(|line| line.contains("compile helper"));
    assert!(helper.is_some_and(|line| line.starts_with("ok")), "{healthy:?}");
    assert!(!home.data_dir().exists(), "looking changes nothing");

    let home = Home::with_config("[server]\nlisten = 1\n");
    let broken = home.yoi(&["--json", "doctor"]);
    assert_eq!(broken.code, Some(1));
    let report = &json_lines(&broken.stdout)[0];
    assert_eq!(report["ok"], false);
    let failed: Vec<&Value> = report["findings"]
        .as_array()
        .expect("findings")
        .iter()
        .filter(|finding| finding["status"] == "fail")
        .collect();
    assert_eq!(failed.len(), 1, "{report}");
    assert_eq!(failed[0]["name"], "configuration");
    assert!(failed[0]["remedy"].is_string());
}

#[test]
fn doctor_judges_no_default_in_place_of_a_configuration_that_is_broken() {
    let home = Home::with_config("[server]\nlisten = 1\n");
    let broken = home.yoi(&["--json", "doctor"]);
    let report = &json_lines(&broken.stdout)[0];
    let findings = report["findings"].as_array().expect("findings");
    let names: Vec<&str> = findings.iter().filter_map(|found| found["name"].as_str()).collect();
    for name in ["compile helper", "confinement", "guests", "not looked at"] {
        assert!(names.contains(&name), "{name} is told: {report}");
    }
    for name in ["model default", "data directory", "Backend", "capabilities", "Runtime", "tls"] {
        assert!(!names.contains(&name), "{name} is of the defaults: {report}");
    }
    let dir = home.path().join("elsewhere");
    let named = home.yoi(&["doctor", "--data-dir", dir.to_str().expect("text")]);
    assert!(said(&named, "data directory").0.starts_with("ok"), "it was named: {named:?}");

    // It can be read, and is of no use.
    let home = Home::with_config(&format!("{OFFLINE}[policy.tutr]\n"));
    let unusable = home.yoi(&["doctor"]);
    assert_eq!(unusable.code, Some(1), "{unusable:?}");
    assert!(said(&unusable, "configuration").0.contains("policy.tutr"), "{unusable:?}");
    for of_the_file in ["model default", "data directory", "not looked at"] {
        said(&unusable, of_the_file);
    }
    assert!(!unusable.stdout.contains("capabilities"), "{unusable:?}");
}

#[test]
fn doctor_says_of_each_component_of_a_profile_whether_it_is_a_worker() {
    let home = Home::with_config(&format!(
        "{OFFLINE}[profiles.good]\ncomponent = \"good.wasm\"\n\
         [profiles.tool]\ncomponent = \"tool.wasm\"\n\
         [profiles.cut]\ncomponent = \"cut.wasm\"\n\
         [profiles.missing]\ncomponent = \"missing.wasm\"\n"
    ));
    let at = home.path().join("config/yoi");
    fs::write(at.join("good.wasm"), test_guests::HOSTILE_BASE).expect("a Worker");
    fs::write(at.join("tool.wasm"), test_guests::TOOL).expect("a command");
    let half = test_guests::HOSTILE_BASE.len() / 2;
    fs::write(at.join("cut.wasm"), &test_guests::HOSTILE_BASE[..half]).expect("a file");
    let ended = home.yoi(&["doctor"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let good = said(&ended, "profile good").0;
    assert!(good.starts_with("ok") && good.contains("a Worker"), "{ended:?}");
    let tool = said(&ended, "profile tool");
    assert!(tool.0.starts_with("FAIL") && tool.0.contains("a WASI command"), "{ended:?}");
    assert!(tool.1.contains("wasm32-wasip2"), "{ended:?}");
    assert!(said(&ended, "profile cut").0.contains("malformed"), "{ended:?}");
    let missing = said(&ended, "profile missing");
    assert!(missing.0.starts_with("FAIL") && missing.1.contains("put it there"), "{ended:?}");
}

#[test]
fn doctor_looks_at_each_component_that_the_configuration_names() {
    let home = Home::with_config(&format!(
        "{OFFLINE}[commands.good]\ncomponent = \"good.wasm\"\n\
         [commands.missing]\ncomponent = \"missing.wasm\"\n\
         [commands.bad]\ncomponent = \"bad.wasm\"\n\
         [commands.open]\ncomponent = \"open.wasm\"\n"
    ));
    let at = home.path().join("config/yoi");
    fs::write(at.join("good.wasm"), test_guests::TOOL).expect("a command");
    fs::write(at.join("open.wasm"), test_guests::TOOL).expect("a command");
    fs::write(at.join("bad.wasm"), "no component").expect("a file");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let everybody = fs::Permissions::from_mode(0o666);
        fs::set_permissions(at.join("open.wasm"), everybody).expect("its mode");
    }
    let ended = home.yoi(&["doctor"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let said = |what| said(&ended, what);
    let good = said("command good").0;
    assert!(good.starts_with("ok") && good.contains("compiled in"), "{ended:?}");
    let missing = said("command missing");
    assert!(missing.0.starts_with("FAIL") && missing.0.contains("missing.wasm"), "{ended:?}");
    let bad = said("command bad");
    assert!(bad.0.starts_with("FAIL") && bad.1.contains("wasm32-wasip2"), "{ended:?}");
    if cfg!(unix) {
        let open = said("command open");
        assert!(open.0.starts_with("FAIL") && open.1.contains("chmod o-w"), "{ended:?}");
    }
    assert!(said("guests").0.starts_with("ok"), "the Runtime is tried without them: {ended:?}");
}
