//! Who runs a Backend is confined by the kernel, whatever the code in it does.

use std::{
    fs,
    io::Read as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{Home, OFFLINE, PATIENCE, Up, json_lines, send_signal};

/// What a process that confined itself found. Without Landlock there is nothing to look at.
#[expect(clippy::print_stderr, reason = "what was not tested is to be seen")]
fn probe(home: &Home, inside: &Path, outside: &Path) -> Option<Value> {
    let text = |path: &Path| path.to_str().expect("text").to_owned();
    let said = home.succeed(&["--json", "confine-probe", &text(inside), &text(outside)]);
    let report = json_lines(&said).remove(0);
    if report["confinement"]["enforced"] == "none" {
        eprintln!("SKIPPED: this kernel cannot confine a process: {}", report["confinement"]);
        return None;
    }
    Some(report)
}

#[test]
fn a_confined_process_reads_no_secret_of_the_home_it_runs_in() {
    let home = Home::new();
    let (inside, outside) = (home.path().join("inside"), home.path().join(".ssh"));
    fs::create_dir(&inside).expect("a directory");
    fs::create_dir(&outside).expect("a directory");
    fs::write(outside.join("secret"), "sesame").expect("a secret");
    let Some(report) = probe(&home, &inside, &outside) else { return };
    assert_eq!(report["open"], serde_json::json!([]), "{report}");
    assert_eq!(report["broken"], serde_json::json!([]), "{report}");
    assert_eq!(fs::read(outside.join("secret")).expect("it is there"), b"sesame");
    assert_eq!(fs::read(inside.join("file")).expect("what it wrote"), b"x");
}

#[test]
fn the_probe_sees_what_is_open() {
    // Nothing is outside of what it may use.
    let home = Home::new();
    fs::write(home.path().join("secret"), "sesame").expect("a secret");
    let Some(report) = probe(&home, home.path(), home.path()) else { return };
    let open = report["open"].as_array().expect("a list");
    assert!(open.iter().any(|what| what == "a file outside is read"), "{report}");
}

#[test]
fn the_doctor_tries_and_names_what_the_kernel_does() {
    let home = Home::new();
    let said = home.succeed(&["--json", "doctor"]);
    let report = json_lines(&said).remove(0);
    let findings = report["findings"].as_array().expect("findings");
    let found = findings.iter().find(|found| found["name"] == "confinement").expect("a finding");
    let detail = found["detail"].as_str().expect("text");
    match found["status"].as_str() {
        Some("ok") => assert!(detail.starts_with("confined (Landlock "), "{found}"),
        Some("warn") => {
            assert!(detail.contains("confined") && found["remedy"].is_string(), "{found}")
        }
        _ => panic!("{found}"),
    }

    let home = Home::with_config(&format!("{OFFLINE}[server]\nconfine = \"off\"\n"));
    let said = home.yoi(&["doctor"]).stdout;
    assert!(said.lines().any(|line| line.starts_with("warn  confinement")), "{said}");
}

/// The state of each thread of a process, as the kernel tells it.
fn threads(process: u32) -> Vec<String> {
    let threads = fs::read_dir(format!("/proc/{process}/task")).expect("threads");
    threads
        .flatten()
        .filter_map(|thread| fs::read_to_string(thread.path().join("status")).ok())
        .collect()
}

fn is_confinable(home: &Home) -> bool {
    let dir = home.path().join("confinable");
    fs::create_dir_all(&dir).expect("a directory");
    probe(home, &dir, home.path()).is_some()
}

#[test]
fn up_was_confined_before_it_had_threads() {
    let home = Home::new();
    if !is_confinable(&home) {
        return;
    }
    let up = Up::start(&home);
    let threads = threads(up.child.id());
    assert!(threads.len() > 2, "{}", threads.len());
    // Landlock is only for who gives up privileges that a program could give. The kernel shows that,
    // and a thread has it of the one that started it.
    assert!(threads.iter().all(|status| status.contains("NoNewPrivs:\t1")));
    assert_eq!(capability(&home)["available"], true);
}

#[test]
fn a_confined_backend_reads_the_commands_that_its_configuration_names() {
    let tool = "component = \"tool.wasm\"";
    let home = Home::with_config(&format!(
        "{OFFLINE}[commands.tool]\n{tool}\n\
         [profiles.own]\ncomponent = \"builtin:shell\"\ncommands = {{ other = \"tool.wasm\" }}\n"
    ));
    fs::write(home.path().join("config/yoi/tool.wasm"), test_guests::TOOL).expect("a command");
    Up::start(&home);
}

/// What the Backend's Runtime says of its confinement.
fn capability(home: &Home) -> Value {
    let backend = fs::read(home.data_dir().join("backend.json")).expect("a running Backend");
    let backend: Value = serde_json::from_slice(&backend).expect("JSON");
    let text = |key: &str| backend[key].as_str().expect("text").to_owned();
    let (url, token) = (format!("{}/api/runtimes", text("url")), text("token"));
    let asked = async {
        let answer = reqwest::Client::new().get(url).bearer_auth(token).send().await;
        answer.expect("an answer").bytes().await.expect("all of it")
    };
    let threads = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let answer = threads.expect("a thread").block_on(asked);
    let answer: Value = serde_json::from_slice(&answer).expect("JSON");
    let capabilities = answer["runtimes"][0]["capabilities"].as_array().expect("a list").clone();
    capabilities.into_iter().find(|one| one["name"] == "confinement").expect("the capability")
}

#[test]
fn a_backend_that_is_not_confined_says_so() {
    let home = Home::with_config(&format!("{OFFLINE}[server]\nconfine = \"off\"\n"));
    let up = Up::start(&home);
    assert!(threads(up.child.id()).iter().any(|status| status.contains("NoNewPrivs:\t0")));
    let capability = capability(&home);
    assert_eq!(capability["available"], false);
    assert_eq!(capability["reason"], "the configuration turns it off");
}

#[test]
fn a_backend_that_must_be_confined_is_or_does_not_start() {
    let home = Home::with_config(&format!("{OFFLINE}[server]\nconfine = \"required\"\n"));
    if is_confinable(&home) {
        Up::start(&home);
    } else {
        let ended = home.yoi(&["up", "--listen", "127.0.0.1:0"]);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.stderr.contains("`confine` below [server]"), "{ended:?}");
    }
}

#[test]
fn a_root_that_is_not_there_is_named_at_the_start() {
    let home = Home::with_config(&format!("{OFFLINE}[roots.later]\npath = \"later\"\n"));
    if !is_confinable(&home) {
        return;
    }
    let mut up = Up::start(&home);
    up.signal("KILL");
    up.wait();
    let mut said = String::new();
    up.child.stderr.take().expect("a pipe").read_to_string(&mut said).expect("text");
    assert!(said.contains("the root `later` is not there"), "{said}");
}

/// A component whose one function, of 200,000 branches, takes the compiler minutes.
fn bomb() -> Vec<u8> {
    fn leb(mut number: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while number >= 0x80 {
            bytes.push(u8::try_from(number & 0x7f).expect("seven bits") | 0x80);
            number >>= 7;
        }
        bytes.push(u8::try_from(number).expect("seven bits"));
        bytes
    }
    let section = |id: u8, content: &[u8]| [&[id][..], &leb(content.len()), content].concat();
    let step = [0x02, 0x40, 0x20, 0, 0x0d, 0, 0x20, 0, 0x41, 3, 0x6a, 0x21, 0, 0x0b];
    let body = [&[0][..], &step.repeat(200_000), &[0x20, 0, 0x0b]].concat();
    let code = [&[1][..], &leb(body.len()), &body].concat();
    let types = section(1, &[1, 0x60, 1, 0x7f, 1, 0x7f]);
    let module =
        [b"\0asm\x01\0\0\0", &types[..], &section(3, &[1, 0]), &section(10, &code)].concat();
    [b"\0asm\x0d\0\x01\0", &section(1, &module)[..]].concat()
}

/// The process with `argument` on its command line.
fn find(argument: &str) -> Option<PathBuf> {
    let processes = fs::read_dir("/proc").expect("processes");
    processes.flatten().map(|process| process.path()).find(|process| {
        let line = fs::read(process.join("cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).any(|found| found == argument.as_bytes())
    })
}

fn parent(process: &Path) -> u32 {
    let status = fs::read_to_string(process.join("status")).expect("its state");
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:")).expect("a parent");
    line.trim().parse().expect("a number")
}

fn lives(process: u32) -> bool {
    fs::read(format!("/proc/{process}/cmdline")).is_ok_and(|line| !line.is_empty())
}

fn wait_until(mut happened: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !happened() {
        assert!(begin.elapsed() < PATIENCE, "it does not happen");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_backend_that_was_killed_leaves_no_process_behind() {
    // An amount of memory that no other helper has finds this one among the processes.
    let mark = (6_u64 << 30) + 1;
    let home = Home::with_config(&format!(
        "{OFFLINE}[profiles.bomb]\ncomponent = \"bomb.wasm\"\n[limits]\ncompile_memory_bytes = {mark}\n"
    ));
    if !is_confinable(&home) {
        return;
    }
    fs::write(home.path().join("config/yoi/bomb.wasm"), bomb()).expect("a component");
    let mut up = home.command(&["up", "--listen", "127.0.0.1:0"]).spawn().expect("yoi up");
    let mark = mark.to_string();
    // The two components that it has besides compile in a moment: this one stays.
    let mut computing = None;
    wait_until(|| {
        computing = find(&mark).filter(|process| {
            let stat = fs::read_to_string(process.join("stat")).unwrap_or_default();
            let ticks = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(11));
            ticks.and_then(|ticks| ticks.parse::<u64>().ok()).is_some_and(|ticks| ticks > 30)
        });
        computing.is_some()
    });
    let helper = computing.expect("a helper");
    let launcher = parent(&helper);
    assert_eq!(parent(&PathBuf::from(format!("/proc/{launcher}"))), up.id());
    send_signal(&up, "KILL");
    up.wait().expect("it is dead");
    wait_until(|| !lives(launcher) && find(&mark).is_none());
}
