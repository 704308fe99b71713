//! Streams whose connection breaks: what was missed comes, or is said to be gone.

use std::time::Duration;

use runtime_client::{AuthToken, ClientError, RuntimeClient};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use worker_types::{Cursor, FeedCursor, LiveEvent, RuntimeError, Seq, WorkerId};

const LOG: &str = "01a229fee583723bae89303fad1dcc78";

/// A server that gives each connection one of these answers, and returns the lines with which they asked.
async fn serve(listener: TcpListener, answers: Vec<String>) -> Vec<String> {
    let mut asked = Vec::new();
    for answer in answers {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.expect("a head"));
        }
        let head = String::from_utf8(head).expect("text");
        asked.push(head.lines().next().expect("a line").to_owned());
        stream.write_all(answer.as_bytes()).await.expect("written");
    }
    asked
}

fn stream(events: &[String]) -> String {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
    format!("{head}: heartbeat\n\n{}", events.concat())
}

fn event(worker: WorkerId, seq: u64) -> String {
    let event = serde_json::json!({
        "seq": seq,
        "at": "2026-11-29T00:00:00Z",
        "worker_id": worker,
        "type": "turn.started",
        "turn_id": 1,
    });
    format!("id: {LOG}.{seq}\nevent: turn.started\ndata: {event}\n\n")
}

fn problem(status: &str, error: &RuntimeError) -> String {
    let body = serde_json::to_string(error).expect("JSON");
    let kind = "application/problem+json";
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[tokio::test]
async fn a_broken_stream_is_taken_up_behind_the_last_event_and_a_gap_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let worker = WorkerId::generate();
    let oldest = Cursor { log_id: None, seq: Seq::new(9) };
    let gap = RuntimeError::CursorGap { oldest };
    let busy = RuntimeError::Capacity { reason: "as many as there may be".to_owned() };
    let answers = vec![
        stream(&[event(worker, 1), event(worker, 2)]),
        // One that is cut in the middle of an event, which then comes again, whole.
        stream(&[event(worker, 3)]).replace("turn_id", "").replace("\n\n", "\n"),
        problem("503 Service Unavailable", &busy),
        stream(&[event(worker, 3)]),
        problem("410 Gone", &gap),
    ];
    let reading = async {
        let client = RuntimeClient::new(&url, AuthToken::new("sesame")).expect("a client");
        let mut events = client.events(worker, Cursor::START).await.expect("a stream");
        for seq in 1..=3 {
            let Some(Ok(LiveEvent::Durable(event))) = events.next().await else {
                panic!("event {seq}")
            };
            assert_eq!((event.seq.get(), events.cursor().seq.get()), (seq, seq));
        }
        let Some(Err(ClientError::Refused(error))) = events.next().await else { panic!("a gap") };
        assert_eq!(error, gap);
        assert!(events.next().await.is_none(), "an error is the last that comes");
    };
    let both = async { tokio::join!(serve(listener, answers), reading) };
    let (asked, ()) =
        tokio::time::timeout(Duration::from_secs(60), both).await.expect("it ends in time");
    let after: Vec<&str> = asked
        .iter()
        .map(|line| line.split("after=").nth(1).and_then(|rest| rest.split(' ').next()))
        .map(|after| after.expect("a place"))
        .collect();
    let place = |seq: u64| format!("{LOG}.{seq}");
    let expected = [&Cursor::START.to_string(), &place(2), &place(2), &place(2), &place(3)];
    assert_eq!(after, expected);
}

#[tokio::test]
async fn a_runtime_that_does_not_come_back_is_an_error_in_the_end() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let worker = WorkerId::generate();
    let client = RuntimeClient::new(&url, AuthToken::new("sesame")).expect("a client");
    let serving = serve(listener, vec![stream(&[event(worker, 1)])]);
    let opened = async { client.events(worker, Cursor::START).await.expect("a stream") };
    let (_, mut events) = tokio::join!(serving, opened);
    assert!(matches!(events.next().await, Some(Ok(_))));
    // The pauses between the tries pass as fast as nothing else is to be done.
    tokio::time::pause();
    let Some(Err(error)) = events.next().await else { panic!("nobody is there") };
    assert!(matches!(error, ClientError::Unreachable(_)), "{error:?}");
    assert!(matches!(RuntimeError::from(error), RuntimeError::RuntimeUnavailable { .. }));
}

#[tokio::test]
async fn who_wants_no_second_try_hears_of_the_first_break() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let worker = WorkerId::generate();
    let client = RuntimeClient::new(&url, AuthToken::new("sesame")).expect("a client");
    let serving = serve(listener, vec![stream(&[event(worker, 1)])]);
    let opened = async { client.stream_tries(0).events(worker, Cursor::START).await };
    let (_, events) = tokio::join!(serving, opened);
    let mut events = events.expect("a stream");
    assert!(matches!(events.next().await, Some(Ok(_))));
    let broken = events.next().await;
    assert!(matches!(broken, Some(Err(ClientError::Silent))), "{broken:?}");
    assert_eq!(events.cursor().seq, Seq::new(1));
    assert!(events.next().await.is_none());
}

#[tokio::test]
async fn what_is_damaged_in_the_feed_is_told_once_and_the_rest_follows() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let worker = WorkerId::generate();
    let damaged = RuntimeError::StoreDamaged { reason: "of some events".to_owned() };
    let body = serde_json::to_string(&damaged).expect("JSON");
    let told = format!("id: {LOG}.r4\nevent: problem\ndata: {body}\n\n");
    let follows = event(worker, 5).replace(&format!("{LOG}.5"), &format!("{LOG}.r5"));
    let reading = async {
        let client = RuntimeClient::new(&url, AuthToken::new("sesame")).expect("a client");
        let mut feed = client.feed(FeedCursor::START).await.expect("a feed");
        let Some(Err(ClientError::Refused(error))) = feed.next().await else { panic!("damage") };
        assert_eq!((error, feed.cursor().position), (damaged, 4));
        let Some(Ok(event)) = feed.next().await else { panic!("what follows") };
        assert_eq!((event.seq.get(), feed.cursor().position), (5, 5));
    };
    let both = async { tokio::join!(serve(listener, vec![stream(&[told, follows])]), reading) };
    tokio::time::timeout(Duration::from_secs(60), both).await.expect("it ends in time");
}
