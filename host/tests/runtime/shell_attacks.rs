//! Scripts that take all they can get, and more: each is bounded, which is said, and the next one works.

use std::{ffi::OsStr, fs, os::unix::ffi::OsStrExt as _};

use worker_types::Limits;

use crate::shell::{Shells, everything_for};

/// How long a script may take here: what takes longer is ended, and that is what is to be shown.
const PATIENT_MS: u64 = 8_000;

/// Runs `script` in a session, and after it another one of the same session. What both said.
async fn survive(shells: &Shells, script: &str) -> String {
    let worker = shells.worker(everything_for(PATIENT_MS)).await;
    let answer = shells.ask(worker, &format!("survive: {script}")).await;
    shells.runtime.stop(worker).await.expect("stopped");
    assert!(
        answer.ends_with("next\n[the script exited with code 0]"),
        "{script}: the next script does not work: {answer}"
    );
    answer
}

#[tokio::test]
async fn invariant_9_a_script_that_multiplies_is_bounded_and_the_next_one_works() {
    let limits = Limits { turn_cpu_ms: 8_000, ..Limits::default() };
    let shells = Shells::limited(limits).await;
    for script in [
        // A fork bomb.
        ":(){ :|:& };:",
        // Ten thousand jobs.
        "for i in $(seq 10000); do sleep 100 & done",
        "f() { f; }; f",
        "f() { (f); }; f",
        "f() { x=$(f); }; f",
        "eval \"$(yes '(' | head -n 5000 | tr -d '\\n')\"",
        "cat $(yes /dev/zero | head -n 10000) | head -c 1G | wc -c",
    ] {
        survive(&shells, script).await;
    }
}

#[tokio::test]
async fn invariant_9_a_script_that_hoards_is_bounded_and_says_so() {
    let limits = Limits { turn_memory_bytes: 128 << 20, turn_cpu_ms: 20_000, ..Limits::default() };
    let shells = Shells::limited(limits).await;
    for script in [
        "x=$(yes | head -c 1G); echo ${#x}",
        "x=$(head -c 1G /dev/zero | tr '\\0' x); echo ${#x}",
        "printf -v x '%1000000000s' y; echo ${#x}",
        "x=0123456789; while :; do x=$x$x; done",
        "a=(); while :; do a+=(0123456789012345678901234567890123456789); done",
    ] {
        let answer = survive(&shells, script).await;
        let (of_script, _) = answer.split_once("next\n").expect("both");
        let is_said = of_script.contains("limit") || !of_script.contains("exited with code 0");
        assert!(is_said, "{script}: in silence: {answer}");
    }
}

#[tokio::test]
async fn a_script_reaches_no_process_no_network_and_no_file_of_the_host() {
    let shells = Shells::new().await;
    for script in [
        "exec /bin/sh -c 'echo escaped'",
        "/bin/sh -c 'echo escaped'",
        "exec 3<>/dev/tcp/127.0.0.1/22 && echo escaped",
        "echo > /dev/tcp/127.0.0.1/22 && echo escaped",
        "cat /etc/passwd | grep -q root && echo escaped",
        "cat /proc/self/environ /proc/1/cmdline && echo escaped",
        "ls /proc/self/fd && echo escaped",
        "ln -s /etc/passwd link; cat link && echo escaped",
        "ln -s ../../../../../../etc link; ls link/ && echo escaped",
        "cd ..; cd ..; cd ..; cat etc/passwd && echo escaped",
        "curl -s http://127.0.0.1 && echo escaped",
        "kill -9 1 && [ -e /proc ] && echo escaped",
        "mount; mknod x c 1 3 && echo escaped",
        "source /etc/profile && echo escaped",
        "git status && echo escaped",
    ] {
        let answer = survive(&shells, script).await;
        let (of_script, _) = answer.split_once("next\n").expect("both");
        assert!(!of_script.contains("escaped"), "{script}: {answer}");
    }
}

#[tokio::test]
async fn a_signal_of_a_script_ends_nothing_but_itself() {
    let shells = Shells::new().await;
    for script in ["kill -9 $$", "kill 1; kill -9 -1", "kill -STOP $$", "trap '' TERM; kill $$"] {
        survive(&shells, script).await;
    }
}

#[tokio::test]
async fn huge_and_growing_files_flow_through_and_are_not_held() {
    let limits = Limits { turn_memory_bytes: 64 << 20, ..Limits::default() };
    let shells = Shells::limited(limits).await;
    let sparse = fs::File::create(shells.path("open/sparse")).expect("a file");
    sparse.set_len(1 << 40).expect("a tebibyte of nothing");
    let answer =
        survive(&shells, "cat sparse | head -c 1000 | wc -c; head -c 5 sparse | wc -c").await;
    assert!(answer.starts_with("1000\n5\n"), "{answer}");
    sparse.set_len(100 << 20).expect("shorter");
    let answer = survive(&shells, "cat sparse | wc -c").await;
    assert!(answer.starts_with("104857600\n"), "{answer}");
    // It reads what it writes.
    let limits = Limits { turn_file_bytes: 4 << 20, ..Limits::default() };
    let shells = Shells::limited(limits).await;
    fs::write(shells.path("open/growing"), "x\n".repeat(10_000)).expect("a file");
    survive(&shells, "cat growing >> growing; tail -n 1 growing >> growing").await;
    let size = fs::metadata(shells.path("open/growing")).expect("a file").len();
    assert!(size <= 5 << 20, "{size}");
}

#[tokio::test]
async fn a_directory_of_a_hundred_thousand_files_is_a_glob_like_any_other() {
    let shells = Shells::new().await;
    let many = shells.path("open/many");
    fs::create_dir(&many).expect("a directory");
    for number in 0..100_000 {
        fs::File::create(many.join(format!("f{number}"))).expect("a file");
    }
    let answer = survive(&shells, "set -- many/*; echo $#; ls many | wc -l").await;
    // On a slow machine it is ended, and that is said.
    let ended = answer.contains("took longer than it may");
    assert!(ended || answer.starts_with("100000\n100000\n"), "{answer}");
}

#[tokio::test]
async fn names_of_any_bytes_are_shown_and_hurt_nobody() {
    let shells = Shells::new().await;
    let dir = shells.path("open");
    fs::write(dir.join("with\nline"), "one").expect("a file");
    fs::write(dir.join("-rf"), "two").expect("a file");
    fs::write(dir.join("\x1b[31mred"), "three").expect("a file");
    fs::write(dir.join(OsStr::from_bytes(b"bad\xff")), "four").expect("a file");
    let script = "cat -- ./* 2> /dev/null; echo; ls | wc -l; rm -- -rf; ls";
    let answer = survive(&shells, script).await;
    assert!(
        answer.contains("one") && answer.contains("two") && answer.contains("three"),
        "{answer}"
    );
    assert!(!dir.join("-rf").exists());
    assert!(dir.join("with\nline").exists());
    assert!(answer.contains("bad"), "it is not hidden: {answer}");
}
