//! `yoi store`: what operators do with the logs of a data directory.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    thread,
    time::Instant,
};

use serde_json::{Value, json};

use crate::{
    Home, PATIENCE, json_lines, send_signal,
    serve::{Serve, first_token},
    wait,
};

impl Home {
    fn logs(&self) -> PathBuf {
        self.data_dir().join("log")
    }

    fn checked(&self) -> (Vec<Value>, Value) {
        let ended = self.yoi(&["--json", "store", "check"]);
        assert!(matches!(ended.code, Some(0 | 4)), "{ended:?}");
        let mut lines = json_lines(&ended.stdout);
        let store = lines.pop().expect("a line for the store");
        assert_eq!(ended.code == Some(4), is_damaged(&lines, &store), "{ended:?}");
        (lines, store)
    }
}

fn is_damaged(workers: &[Value], store: &Value) -> bool {
    let has_damage = |of: &Value| of["damage"].as_array().is_some_and(|damage| !damage.is_empty());
    workers.iter().any(has_damage) || has_damage(store)
}

/// Every file of a directory, whole.
fn bytes(at: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = fs::read_dir(at).expect("a directory").map(|entry| entry.expect("a file").path());
    files.map(|path| (path.clone(), fs::read(path).expect("its bytes"))).collect()
}

fn create(serve: &Serve, token: &str) -> String {
    let (status, worker) = serve.ask(token, "/v1/workers", Some(json!({ "profile": "echo" })));
    assert_eq!(status, 201, "{worker}");
    worker["worker_id"].as_str().expect("an id").to_owned()
}

/// Has a turn, which is acknowledged and done.
fn say(serve: &Serve, token: &str, id: &str, text: &str) {
    let path = format!("/v1/workers/{id}/input?wait_ms=60000");
    let (status, ended) = serve.ask(token, &path, Some(json!({ "text": text })));
    assert_eq!((status, &ended["outcome"]["status"]), (200, &json!("completed")), "{ended}");
}

/// What a Worker said and was told.
fn transcript(serve: &Serve, token: &str, id: &str) -> String {
    let (status, said) = serve.ask(token, &format!("/v1/workers/{id}/transcript"), None);
    assert_eq!(status, 200, "{said}");
    said.to_string()
}

/// Ends what goes on until it is told to.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

#[test]
fn a_backup_under_a_writer_has_all_that_was_acknowledged_and_runs() {
    let home = Home::new();
    let serve = Serve::start(&home);
    let token = first_token(&home);
    let id = create(&serve, &token);
    let backups = home.path().join("backups");
    fs::create_dir(&backups).expect("a directory");
    let (stop, acknowledged) = (AtomicBool::new(false), AtomicUsize::new(0));
    let (destination, before) = thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(SeqCst) {
                say(&serve, &token, &id, &format!("said {};", acknowledged.load(SeqCst)));
                acknowledged.fetch_add(1, SeqCst);
            }
        });
        // Workers come and go meanwhile.
        scope.spawn(|| {
            while !stop.load(SeqCst) {
                let passing = create(&serve, &token);
                let worker = format!("/v1/workers/{passing}");
                assert_eq!(serve.ask(&token, &format!("{worker}/stop"), Some(json!({}))).0, 202);
                home.succeed_far(&serve, &token, &["worker", "rm", &passing]);
            }
        });
        // Also where something here panics.
        let _stop = Stop(&stop);
        let begin = Instant::now();
        while acknowledged.load(SeqCst) < 20 {
            assert!(begin.elapsed() < PATIENCE, "it says something");
            thread::yield_now();
        }
        // As often as it takes until something was said while one was made.
        let made = (0..).find_map(|number| {
            assert!(begin.elapsed() < PATIENCE, "it goes on saying something");
            let before = acknowledged.load(SeqCst);
            let destination = backups.join(format!("backup-{number}"));
            let backed_up = home.yoi(&["store", "backup", destination.to_str().expect("text")]);
            assert_eq!(backed_up.code, Some(0), "{backed_up:?}");
            assert!(backed_up.stdout.contains("nothing is damaged"), "{backed_up:?}");
            let is_between = acknowledged.load(SeqCst) > before;
            is_between.then_some((destination, before))
        });
        made.expect("a backup under a writer")
    });
    let names = fs::read_dir(&backups).expect("it").map(|entry| entry.expect("one").file_name());
    assert!(names.into_iter().all(|name| name.to_string_lossy().starts_with("backup-")));
    let entries = fs::read_dir(&destination).expect("it").map(|entry| entry.expect("one"));
    assert_eq!(entries.map(|entry| entry.file_name()).collect::<Vec<_>>(), ["log"]);

    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::metadata(&destination).expect("it").permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }

    // Both run at once: the backup is nobody else's directory.
    let elsewhere = Home::new();
    let place = elsewhere.data_dir();
    fs::create_dir_all(place.parent().expect("a parent")).expect("a directory");
    fs::rename(&destination, &place).expect("restored");
    let restored = Serve::start(&elsewhere);
    let new = first_token(&elsewhere);
    assert_ne!(new, token, "no token is in a backup");
    assert_eq!(restored.ask(&token, "/v1/runtime", None).0, 401);
    let said = transcript(&restored, &new, &id);
    for number in (0..before).rev().take(20) {
        assert!(said.contains(&format!("said {number};")), "{number} of {before}: {said}");
    }
    let shown = restored.ask(&new, &format!("/v1/workers/{id}"), None).1;
    assert!(shown["usage"]["turns"].as_u64() >= Some(before as u64), "{shown}");
    say(&restored, &new, &id, "on");
    // Who was somewhere in the original is nowhere in this.
    let page = serve.ask(&token, &format!("/v1/workers/{id}/events"), None).1;
    let after = page["next"].as_str().expect("a cursor");
    let foreign = restored.ask(&new, &format!("/v1/workers/{id}/events?after={after}"), None);
    assert!((400..500).contains(&foreign.0), "{foreign:?}");
}

impl Home {
    fn succeed_far(&self, serve: &Serve, token: &str, arguments: &[&str]) {
        let arguments = [arguments, &["--runtime", &serve.url]].concat();
        let ended = self.command(&arguments).env("YOI_TOKEN", token).output().expect("yoi");
        assert!(ended.status.success(), "{ended:?}");
    }
}

#[test]
fn logs_are_checked_while_they_are_in_use_after_a_kill_and_at_rest_and_nothing_is_changed() {
    let home = Home::new();
    let none = home.yoi(&["store", "check"]);
    assert_eq!(none.code, Some(1), "{none:?}");
    assert!(none.stderr.contains("there are no logs in"), "{none:?}");
    assert!(!home.data_dir().exists(), "looking makes nothing");

    let mut serve = Serve::start(&home);
    let token = first_token(&home);
    let id = create(&serve, &token);
    say(&serve, &token, &id, "one");
    let (workers, store) = home.checked();
    assert!(!is_damaged(&workers, &store), "{workers:?} {store}");
    assert_eq!(workers.len(), 1);
    assert_eq!(workers[0]["worker_id"], id);
    assert!(workers[0]["events"].as_u64() > Some(4) && workers[0]["items"] == 2, "{workers:?}");
    say(&serve, &token, &id, "two");

    send_signal(&serve.child, "KILL");
    wait(&mut serve.child);
    let before = bytes(&home.logs());
    let (after_kill, store) = home.checked();
    assert!(!is_damaged(&after_kill, &store) && after_kill[0]["items"] == 4, "{after_kill:?}");
    assert_eq!(bytes(&home.logs()), before);

    let mut serve = Serve::start(&home);
    send_signal(&serve.child, "TERM");
    assert_eq!(wait(&mut serve.child).code(), Some(0));
    let before = bytes(&home.logs());
    let said = home.succeed(&["store", "check"]);
    assert!(said.starts_with("1 Workers with ") && said.contains("nothing is damaged"), "{said}");
    assert_eq!(bytes(&home.logs()), before);
}

#[test]
fn a_damaged_log_is_named_with_what_to_do_and_so_is_that_of_a_backup() {
    let home = Home::new();
    let mut serve = Serve::start(&home);
    let token = first_token(&home);
    let ids: Vec<String> = (0..3).map(|_| create(&serve, &token)).collect();
    let needle = "a needle in the log; ";
    for id in &ids {
        say(&serve, &token, id, "hay ".repeat(4_000).as_str());
    }
    say(&serve, &token, &ids[1], &needle.repeat(1_000));
    send_signal(&serve.child, "TERM");
    assert_eq!(wait(&mut serve.child).code(), Some(0));

    let database = home.logs().join("log.sqlite3");
    let whole = fs::read(&database).expect("the database");
    let mut damaged = whole.clone();
    for page in damaged.chunks_mut(4_096).skip(1) {
        let holds = page.windows(needle.len()).any(|window| window == needle.as_bytes());
        if holds {
            page.iter_mut().for_each(|byte| *byte = !*byte);
        }
    }
    assert_ne!(damaged, whole, "something is flipped");
    fs::write(&database, &damaged).expect("written");

    let (workers, store) = home.checked();
    let bad: Vec<&Value> = workers.iter().filter(|worker| is_damaged(&[], worker)).collect();
    assert!(matches!(bad[..], [one] if one["worker_id"] == ids[1].as_str()), "{workers:?}");
    assert_eq!((&store["workers"], &store["damaged"]), (&json!(3), &json!(1)), "{store}");
    assert_eq!(fs::read(&database).expect("the database"), damaged, "nothing is changed");
    let said = home.yoi(&["store", "check"]);
    assert_eq!(said.code, Some(4), "{said:?}");
    assert!(said.stdout.contains(&format!("DAMAGED  {}  log: ", ids[1])), "{said:?}");
    assert!(said.stdout.contains("restore a backup") && said.stdout.contains("worker rm"));
    assert!(!said.stdout.contains(&ids[0]) && !said.stdout.contains(needle), "{said:?}");

    let backed_up = home.yoi(&["store", "backup", "copy"]);
    assert_eq!(backed_up.code, Some(4), "{backed_up:?}");
    assert!(backed_up.stdout.contains(&ids[1]), "{backed_up:?}");
    let again = home.yoi(&["store", "backup", "copy"]);
    assert_eq!(again.code, Some(1), "{again:?}");
    assert!(again.stderr.contains("copy is not empty"), "{again:?}");

    fs::write(&database, "nothing that anybody knows".repeat(1_000)).expect("other bytes");
    let gone = home.yoi(&["store", "check"]);
    assert_eq!((gone.code, gone.stdout.as_str()), (Some(4), ""), "{gone:?}");
    assert!(gone.stderr.contains("from a backup"), "{gone:?}");
}

/// All that is below a directory: the bytes of files, and where links lead.
#[cfg(unix)]
fn tree(at: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut tree = BTreeMap::new();
    for entry in fs::read_dir(at).expect("a directory") {
        let (path, kind) = {
            let entry = entry.expect("an entry");
            (entry.path(), entry.file_type().expect("its type"))
        };
        let content = if kind.is_dir() {
            tree.extend(self::tree(&path));
            None
        } else if kind.is_symlink() {
            let target = fs::read_link(&path).expect("a link");
            Some(target.into_os_string().into_encoded_bytes())
        } else if kind.is_file() {
            Some(fs::read(&path).expect("its bytes"))
        } else {
            None
        };
        tree.insert(path, content);
    }
    tree
}

/// A home in which a Runtime has been, and ended.
#[cfg(unix)]
fn home_with_logs() -> Home {
    let home = Home::new();
    let serve = Serve::start(&home);
    let token = first_token(&home);
    let id = create(&serve, &token);
    say(&serve, &token, &id, "one");
    assert_eq!(serve.end().0, Some(0));
    home
}

#[cfg(unix)]
#[test]
fn a_backup_into_its_own_directory_or_onto_a_link_is_refused_and_nothing_is_changed() {
    use std::os::unix::fs::symlink;

    let home = home_with_logs();
    let at = |path: &str| home.path().join(path);
    fs::create_dir(at("empty")).expect("a directory");
    fs::create_dir(at("data/yoi/empty")).expect("a directory");
    symlink("empty", at("link")).expect("a link");
    symlink("nowhere", at("dangling")).expect("a link");
    symlink("data/yoi", at("inside")).expect("a link");
    let before = tree(home.path());
    let within = "is in the data directory, and would go with it";
    let link = "is a link: name a directory";
    for (destination, why) in [
        ("data/yoi/backup", within),
        ("data/yoi/log/backup", within),
        ("data/yoi/empty", within),
        ("data/yoi/./backup/", within),
        ("empty/../data/yoi/backup", within),
        // By a link, too.
        ("inside/backup", within),
        ("data/yoi", "is not empty"),
        ("data/yoi/log", "is not empty"),
        ("link", link),
        ("dangling", link),
        ("inside", link),
        // A shell's completion writes it so.
        ("link/", link),
        ("dangling/", link),
        ("link/.", link),
    ] {
        let refused = home.yoi(&["store", "backup", destination]);
        assert_eq!(refused.code, Some(1), "{destination}: {refused:?}");
        assert!(refused.stderr.contains(why), "{destination}: {refused:?}");
        assert_eq!(tree(home.path()), before, "{destination}");
    }
    // Nothing is wrong with the others.
    for destination in ["beside", "link/below"] {
        home.succeed(&["store", "backup", destination]);
    }
}

/// What a command says that ends in time.
#[cfg(unix)]
fn ends(home: &Home, arguments: &[&str]) -> crate::Ended {
    let mut child = home.command(arguments).spawn().expect("yoi starts");
    wait(&mut child);
    crate::Ended::of(child.wait_with_output().expect("it has ended"))
}

#[cfg(unix)]
#[test]
fn a_pipe_in_place_of_the_logs_is_refused_and_awaited_by_nobody() {
    for name in ["log.sqlite3", "log.sqlite3-wal"] {
        for linked in [false, true] {
            let home = home_with_logs();
            let file = home.logs().join(name);
            if file.exists() {
                fs::remove_file(&file).expect("removed");
            }
            let pipe = if linked { home.path().join("pipe") } else { file.clone() };
            let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo");
            assert!(made.success());
            if linked {
                std::os::unix::fs::symlink(&pipe, &file).expect("a link");
            }
            let before = tree(home.path());
            for line in [&["store", "check"][..], &["store", "backup", "copy"]] {
                let refused = ends(&home, line);
                assert_eq!(refused.code, Some(1), "{name} {line:?}: {refused:?}");
                assert!(refused.stdout.is_empty(), "{refused:?}");
                let said = "was not made by yoi";
                assert!(refused.stderr.contains(said), "{name} {line:?}: {refused:?}");
                assert_eq!(tree(home.path()), before, "{name} {line:?}");
            }
        }
    }
}
