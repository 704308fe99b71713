//! What `yoi run` grants, and what it says of it.

use std::{fs, path::Path};

use super::{Home, OFFLINE};

fn home(more: &str) -> Home {
    let profile = "[profiles.files]\ncomponent = \"hostile.wasm\"\n";
    let home = Home::with_config(&format!("{OFFLINE}{profile}{more}"));
    let beside = |path: &str| home.path().join(path);
    fs::write(beside("config/yoi/hostile.wasm"), test_guests::HOSTILE_BASE).expect("a guest");
    for dir in ["docs", "out", "project/api"] {
        fs::create_dir_all(beside(dir)).expect("a directory");
    }
    fs::write(beside("docs/a.txt"), "of the docs").expect("a file");
    home
}

fn is_empty(dir: &Path) -> bool {
    fs::read_dir(dir).expect("a directory").next().is_none()
}

#[test]
fn run_says_what_it_is_about_to_grant_and_grants_it() {
    let home = home("");
    let script = "files: open\t/workspace\ta.txt\tr\ta\nread\ta\n\
                  open\t/workspace\tb.txt\tcw\tb\n\
                  open\t/out\tb.txt\tcw\tc\nwrite\tc\t0\thello";
    let ended = home.yoi(&["run", "--dir", "./docs", "--dir", "out:/out:rw", "files", script]);
    let said = "may read /workspace (./docs)\nmay read and write /out (out)\n";
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.stderr, said);
    assert!(ended.stdout.contains("ok of the docs"), "{ended:?}");
    assert!(ended.stdout.contains("not-permitted"), "{ended:?}");
    assert_eq!(fs::read_to_string(home.path().join("out/b.txt")).expect("a file"), "hello");
}

#[test]
fn run_grants_the_roots_and_the_own_directory_of_the_policy() {
    let home = home(
        "[roots.project]\npath = \"../../project\"\naccess = \"read-write\"\n\
         [policy.files]\npreopens = [\n\
         { root = \"project\", path = \"api\", guest_path = \"/api\", access = \"read-write\" },\n\
         { root = \"scratch\", guest_path = \"/tmp\", access = \"read-write\" },\n]\n",
    );
    fs::create_dir(home.path().join("temporary")).expect("a directory");
    let temporary = home.path().join("temporary");
    let line = ["run", "files", "files: open\t/tmp\ta\tcw\ta\nmkdir\t/api\tmade"];
    let output = home.command(&line).env("TMPDIR", &temporary).output().expect("yoi run");
    let ended = super::Ended::of(output);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let said = "may read and write /api (root project, api)\n\
                may read and write /tmp (its own directory, which goes with it)\n";
    assert_eq!(ended.stderr, said);
    assert_eq!(ended.stdout, "ok\nok\n");
    assert!(home.path().join("project/api/made").is_dir());
    assert!(is_empty(&temporary), "its own directory is gone");
}

#[test]
fn run_refuses_a_directory_by_the_name_of_the_option() {
    let home = home("");
    fs::create_dir_all(home.path().join("docs/.git")).expect("a directory");
    let ended = home.yoi(&["run", "--dir", "docs:rw", "files", "fs"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("yoi: --dir docs: a git directory"), "{ended:?}");
    assert!(ended.stderr.contains("--expose-git"), "{ended:?}");
}

#[test]
fn run_writes_nowhere_that_others_might_write_to_without_its_knowing() {
    let home = home("");
    fs::create_dir(home.path().join("work")).expect("a directory");
    let run = |dir: &str| {
        let mut command = home.command(&["run", "--dir", dir, "echo", "hi"]);
        let output = command.env_remove("HOME").env_remove("XDG_STATE_HOME").output();
        let output = output.expect("yoi run");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, told) = run("work:rw");
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("other Runtimes of this user") && told.contains("set HOME"), "{told}");
    assert_eq!(run("work").0, Some(0), "to look at needs nobody's leave");
}
