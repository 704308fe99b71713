//! A Worker whose log makes no sense, among others.

use rusqlite::Connection;
use test_support::{
    crash::record::{Reply, Request},
    serve::{Call, Told},
};
use worker_types::{IfBusy, RuntimeError, WorkerStatus};

use crate::host::{Host, Story};

#[test]
fn a_damaged_worker_is_unavailable_and_the_others_go_on() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = directory.path().join("store");
    let mut story = Story::begin(Host::open(&store));
    let sound = story.worker_id;
    let request = Request::Create {
        token: "damaged".to_owned(),
        lane: 0,
        resume: false,
        // It runs when the host is killed, so its log is read at the start.
        text: Some("spin".to_owned()),
        keyed: false,
    };
    let Reply::Created(damaged) = story.ask(request) else { panic!("it is created") };
    story.host.kill();

    let database = Connection::open(store.join("log.sqlite3")).expect("a database");
    let sql = "UPDATE events SET body = x'00' WHERE seq = 2
        AND worker = (SELECT key FROM workers WHERE id = ?1)";
    let changed = database.execute(sql, [damaged.as_bytes().as_slice()]).expect("it is damaged");
    assert_eq!(changed, 1);
    drop(database);

    let mut host = Host::open(&store);
    let summary = host.summary();
    assert_eq!((summary.overview.unavailable, summary.overview.idle), (1, 1));
    let input = |worker_id| Call::Ask {
        request: Request::Input {
            worker_id,
            token: "after".to_owned(),
            text: "hello".to_owned(),
            if_busy: IfBusy::Reject,
            keyed: false,
        },
    };
    match host.call(&input(damaged)) {
        Told::Reply { reply: Reply::Refused(error) } => {
            assert!(matches!(error, RuntimeError::WorkerUnavailable { .. }), "{error:?}");
            assert!(!error.is_retryable());
        }
        other => panic!("{other:?}"),
    }
    let told = host.call(&input(sound));
    assert!(matches!(told, Told::Reply { reply: Reply::Accepted(_) }), "{told:?}");
    let view = host.view(damaged);
    assert_eq!(view.status, WorkerStatus::Unavailable);
    assert!(!view.diagnostics.is_empty());
    host.shut_down();
}
