//! What is limited ends with a message and a code, and the next script runs.

use crate::support::{Shell, check};

#[test]
fn recursion_without_end_is_said_and_the_session_goes_on() {
    let mut shell = Shell::new();
    let ran = shell.run("f() { f; }; f; echo behind", "");
    assert!(ran.errors.contains("maximum function depth exceeded"), "{}", ran.errors);
    assert_ne!(ran.ending.code, 0);
    assert_eq!(shell.run("echo on", "").output, "on\n");
}

#[test]
fn jobs_beyond_the_limit_are_refused() {
    let ran = Shell::new()
        .run("for i in $(seq 300); do sleep 600 & done; kill $(jobs -p); wait; echo done", "");
    assert_eq!(ran.output, "done\n");
    assert!(ran.errors.contains("Resource temporarily unavailable"), "{}", ran.errors);
}

#[test]
fn nothing_is_cut_off_at_a_megabyte() {
    check("head -c 5M /dev/zero | wc -c", "5242880\n");
    check("x=$(seq 300000 | tr -d '\\n'); echo ${#x}", "1688895\n");
    check("for i in $(seq 100000); do n=$i; done; echo $n", "100000\n");
    check("set -- $(seq 100001); echo $#", "100001\n");
}

#[test]
fn a_width_that_would_fill_the_memory_is_refused() {
    let ran = Shell::new().run("printf %1000000000s; echo $?", "");
    assert!(ran.errors.contains("exceeds limit"), "{}", ran.errors);
}

#[test]
fn there_is_no_network_and_that_is_said() {
    let ran = Shell::new().run("echo x > /dev/tcp/127.0.0.1/80; curl x; ssh x; git x; echo $?", "");
    assert_eq!(ran.output, "127\n");
    assert_eq!(ran.errors.matches("no network").count(), 3, "{}", ran.errors);
}
