//! On real sockets: what a client that misbehaves can hold, and how the server ends.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use yoi_workspace_server::BackendServeError;

use crate::support::{Bench, DEADLINE};

/// A Backend that listens.
struct Served {
    bench: Bench,
    address: SocketAddr,
    shutdown: CancellationToken,
    server: JoinSet<Result<(), BackendServeError>>,
}

impl Served {
    async fn start() -> Self {
        let bench = Bench::start().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let shutdown = CancellationToken::new();
        let mut server = JoinSet::new();
        let (backend, token) = (bench.backend.clone(), shutdown.clone());
        server.spawn(async move { backend.serve(listener, token).await });
        Self { bench, address, shutdown, server }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("a connection")
    }

    /// The head of a request with the access token, up to where more headers may follow.
    fn head(&self, path: &str) -> String {
        let token = self.bench.access_token.reveal();
        format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {token}\r\n",
            self.address
        )
    }

    async fn ended(&mut self) {
        let ended = timeout(DEADLINE, self.server.join_next()).await.expect("the server ends");
        ended.expect("one task").expect("no panic").expect("no error");
    }
}

/// Reads until `needle` shows.
async fn read_until(stream: &mut TcpStream, needle: &str) -> String {
    let mut read = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let count = timeout(DEADLINE, stream.read(&mut buffer))
            .await
            .expect("an answer in time")
            .expect("a connection that does not break");
        assert_ne!(count, 0, "ended before {needle:?}: {}", String::from_utf8_lossy(&read));
        read.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&read);
        if text.contains(needle) {
            return text.into_owned();
        }
    }
}

/// Waits until the other side closes.
async fn closed(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    let end = timeout(DEADLINE, stream.read_to_end(&mut rest)).await.expect("an end in time");
    // A reset ends it as well as an orderly close.
    drop(end);
}

#[tokio::test]
async fn a_listener_that_other_machines_reach_is_refused_without_tls() {
    let bench = Bench::start().await;
    let listener = TcpListener::bind("0.0.0.0:0").await.expect("a port");
    let error = bench.backend.serve(listener, CancellationToken::new()).await;
    let error = error.expect_err("a refusal");
    assert!(matches!(error, BackendServeError::NotLoopback { .. }));
    assert!(error.to_string().contains("loopback"));
}

#[tokio::test]
async fn a_request_is_answered_over_a_socket() {
    let served = Served::start().await;
    let mut stream = served.connect().await;
    let request = format!("{}\r\n", served.head("/api/runtimes"));
    stream.write_all(request.as_bytes()).await.expect("a write");
    let answer = read_until(&mut stream, "backend-internal").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
}

#[tokio::test]
async fn clients_that_never_finish_their_request_make_room_for_others() {
    let served = Served::start().await;
    // As many as there are seats, each with half a head.
    let mut slow = Vec::new();
    for _ in 0..4 {
        let mut stream = served.connect().await;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x").await.expect("a write");
        slow.push(stream);
    }
    let mut honest = served.connect().await;
    let request = format!("{}\r\n", served.head("/api/runtimes"));
    honest.write_all(request.as_bytes()).await.expect("a write");
    read_until(&mut honest, "backend-internal").await;
    for stream in &mut slow {
        closed(stream).await;
    }
}

#[tokio::test]
async fn shutdown_ends_event_streams_and_then_the_server() {
    let mut served = Served::start().await;
    let worker = served.bench.companion().await;
    let mut stream = served.connect().await;
    let request =
        format!("{}Accept: text/event-stream\r\n\r\n", served.head(&format!("{worker}/events")));
    stream.write_all(request.as_bytes()).await.expect("a write");
    read_until(&mut stream, "worker.created").await;

    served.shutdown.cancel();
    closed(&mut stream).await;
    served.ended().await;
    assert!(TcpStream::connect(served.address).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn shutdown_does_not_wait_for_clients_that_say_nothing() {
    let mut served = Served::start().await;
    let mut idle = served.connect().await;
    idle.write_all(b"GET").await.expect("a write");
    let begun = std::time::Instant::now();
    served.shutdown.cancel();
    served.ended().await;
    assert!(begun.elapsed() < Duration::from_secs(6));
}
