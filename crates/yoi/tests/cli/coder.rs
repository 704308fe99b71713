//! `yoi run coder`: a model with tools on a directory, here the offline one.

use std::fs;

use super::{
    Ended, Home,
    shell::{compiled, with_cache},
};

/// What a coder says to `input`, with `dir` as its directory.
fn said(home: &Home, dir: &str, input: &str) -> String {
    compiled();
    let mut command = with_cache(home.command(&["run", "coder", "--dir", dir, input]));
    let ended = Ended::of(command.output().expect("yoi run"));
    assert_eq!(ended.code, Some(0), "{input}: {ended:?}");
    ended.stdout
}

#[test]
fn a_coder_reads_and_changes_the_directory_that_it_is_granted_and_runs_scripts_in_it() {
    let home = Home::new();
    let project = home.path().join("project");
    fs::create_dir(&project).expect("a directory");
    fs::write(project.join("notes.txt"), "buy milk\n").expect("written");
    let dir = format!("{}:rw", project.display());
    let run = |input: &str| said(&home, &dir, input);

    let read = run("read: notes.txt");
    assert!(read.contains("Calling the tool `read`.") && read.contains("buy milk"), "{read}");
    let ran = run("run: tr a-z A-Z < notes.txt > loud.txt && cat loud.txt");
    assert!(ran.contains("The tool answered:") && ran.contains("BUY MILK"), "{ran}");
    assert_eq!(fs::read_to_string(project.join("loud.txt")).expect("a file"), "BUY MILK\n");
    run(r#"edit: {"path":"notes.txt","old_text":"milk","new_text":"bread"}"#);
    assert_eq!(fs::read_to_string(project.join("notes.txt")).expect("a file"), "buy bread\n");
    let nothing = run("read: missing.txt");
    assert!(nothing.contains("The tool failed:") && nothing.contains("missing.txt"), "{nothing}");
}

#[test]
fn a_coder_changes_nothing_that_it_may_only_read_and_nothing_outside() {
    let home = Home::new();
    let project = home.path().join("project");
    fs::create_dir(&project).expect("a directory");
    fs::write(project.join("notes.txt"), "buy milk\n").expect("written");
    fs::write(home.path().join("secret.txt"), "sesame").expect("written");
    let dir = project.display().to_string();
    for input in [
        r#"write: {"path":"new.txt","content":"x"}"#,
        "run: echo x > /workspace/new.txt",
        "run: cat /workspace/../secret.txt",
        "read: ../secret.txt",
    ] {
        let said = said(&home, &dir, input);
        assert!(!said.contains("sesame"), "{input}: {said}");
        assert!(said.contains("[offline model]"), "{input}: {said}");
    }
    let left: Vec<_> = fs::read_dir(&project).expect("the directory").collect();
    assert_eq!(left.len(), 1, "{left:?}");
}
