//! What of the file system a script sees.

use crate::support::{Shell, check};

#[test]
fn only_what_was_given_exists() {
    let ran =
        Shell::new().run("cat /etc/passwd; ls /proc; ls / | grep -c etc; cd /etc; echo $?", "");
    assert_eq!(ran.output, "0\n1\n", "{}", ran.errors);
    assert_eq!(ran.errors.matches("No such file or directory").count(), 3, "{}", ran.errors);
}

#[test]
fn parents_of_what_was_given_can_be_listed() {
    let mut shell = Shell::new();
    let top = shell.path().components().nth(1).unwrap().as_os_str().to_string_lossy().into_owned();
    assert!(shell.run("ls /", "").output.lines().any(|name| name == top));
}

#[test]
fn an_empty_world_has_a_small_tmp() {
    let mut shell = Shell::new();
    shell.roots = false;
    let ran = shell.run(
        "pwd; ls /; echo a > /tmp/f; echo b >> /tmp/f; cat /tmp/f; mkdir /tmp/d; mv /tmp/f /tmp/d; \
         ls /tmp /tmp/d; ln -s d/f /tmp/l; cat /tmp/l; rm -r /tmp/d; ls /tmp; echo x > /y",
        "",
    );
    assert_eq!(
        ran.output, "/\ndev\ntmp\na\nb\n/tmp:\nd\n\n/tmp/d:\nf\na\nb\nl\n",
        "{}",
        ran.errors
    );
    let full = shell.run("head -c 20M /dev/zero > /tmp/big; echo $?", "");
    assert!(full.errors.contains("16 MiB"), "{}", full.errors);
    assert_ne!(full.output, "0\n");
}

#[test]
fn links_lead_where_they_say() {
    check(
        "echo a > a; ln -s a b; cat b; readlink b; ln -s b c; cat c; rm b; cat a",
        "a\na\na\na\n",
    );
    check(
        "mkdir d; echo x > d/f; ln -s d l; cat l/f; grep -r x l; grep -r x . | sort",
        "x\nl/f:x\nd/f:x\n".replace("d/f:x\n", "./d/f:x\n").as_str(),
    );
    let ran = Shell::new().run("ln -s b a; ln -s a b; cat a", "");
    assert!(ran.errors.contains("Too many levels of symbolic links"), "{}", ran.errors);
}

#[test]
fn a_copy_onto_the_same_file_is_refused_and_loses_nothing() {
    let text = "seq 1 50000 > big; ln -s big link; ln big twin; \
                for to in link twin ./big; do cp big $to; echo $?; cp $to big; echo $?; done; wc -l big";
    let ran = Shell::new().run(text, "");
    assert_eq!(ran.output, format!("{}50000 big\n", "1\n".repeat(6)), "{}", ran.errors);
    assert_eq!(ran.errors.matches("are the same file").count(), 6, "{}", ran.errors);
}

#[test]
fn odd_names_are_names() {
    check("touch 'c d' -- '-e' '*'; for f in *; do printf '<%s>' \"$f\"; done", "<*><-e><c d>");
    // bashkit refuses control characters in names, and says so; what is there is seen.
    let mut shell = Shell::new();
    std::fs::write(shell.path().join("a\nb"), "x\n").unwrap();
    let ran = shell.run("cat *; printf '<%s>' *; touch $'c\\td'", "");
    assert_eq!(ran.output, "x\n<a\nb>");
    assert!(ran.errors.contains("unsafe character"), "{}", ran.errors);
}

#[cfg(unix)]
#[test]
fn names_that_are_not_utf8_are_seen() {
    use std::os::unix::ffi::OsStrExt;
    let mut shell = Shell::new();
    let name = std::ffi::OsStr::from_bytes(b"x\xff");
    std::fs::write(shell.path().join(name), "").unwrap();
    let ran = shell.run("ls; for f in *; do cat \"$f\"; done", "");
    assert_eq!(ran.output, "x\u{fffd}\n");
    assert!(ran.errors.contains("No such file"), "{}", ran.errors);
}

#[test]
fn scripts_run_by_their_paths() {
    check(
        "printf '#!/bin/bash\\necho $0 $1\\n' > s; chmod +x s; ./s 1; PATH=$PWD:$PATH; s 2 | sed 's|.*/||'",
        "./s 1\ns 2\n",
    );
    let ran = Shell::new().run("echo echo > s; chmod -x s; ./s; echo $?", "");
    assert_eq!(ran.output, "126\n");
}

#[test]
fn appending_keeps_what_is_there() {
    check(
        "echo a > f; cat >> f <<< b; seq 1 >> f; cat f; ls -l f | cut -c1-10",
        "a\nb\n1\n-rw-r--r--\n",
    );
    check(
        "seq 2 | tee f g > /dev/null; cat f g; seq 1 | tee -a f >&2; wc -l < f",
        "1\n2\n1\n2\n3\n",
    );
    check("echo x | tee /dev/stderr 2>&1", "x\nx\n");
}

#[test]
fn devices_are_what_they_are_elsewhere() {
    check("echo x > /dev/null; cat /dev/null; [ -e /dev/null ] && echo yes", "yes\n");
    check("head -c 2 /dev/urandom | wc -c; head -c 2 /dev/zero | od -An -c", "2\n  \\0  \\0\n");
    check("echo a > /dev/stdout; echo b 2>/dev/null >/dev/fd/1", "a\nb\n");
    let ran = Shell::new().run("echo e > /dev/stderr", "");
    assert_eq!(ran.errors, "e\n");
}

#[test]
fn what_was_given_cannot_be_removed() {
    let mut shell = Shell::new();
    let ran = shell.run("rm -r \"$PWD\"", "");
    assert!(shell.path().exists());
    assert_ne!(ran.ending.code, 0);
    assert!(ran.errors.contains("busy"), "{}", ran.errors);
}
