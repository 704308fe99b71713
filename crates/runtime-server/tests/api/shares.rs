//! On real sockets: a token that takes all that it may leaves as much to the others.

use std::{net::SocketAddr, time::Duration};

use http_api::ServeOptions;
use runtime_server::{RuntimeServer, Scope};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};
use tokio_util::sync::CancellationToken;
use worker_types::{CreateWorker, Input, WorkerId};

use crate::support::Server;

const PATIENCE: Duration = Duration::from_secs(60);

/// What one token may have held of the 128 answers that a server holds.
const HELD_SHARE: usize = 64;

/// A connection that stays.
struct Client(BufReader<TcpStream>);

impl Client {
    async fn connect(address: SocketAddr) -> Self {
        Self(BufReader::new(TcpStream::connect(address).await.expect("a connection")))
    }

    async fn send(&mut self, token: &str, path: &str, accept: &str) {
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {token}\r\nAccept: {accept}\r\n\r\n",
            self.0.get_ref().peer_addr().expect("an address")
        );
        self.0.get_mut().write_all(head.as_bytes()).await.expect("sent");
    }

    /// The status of the next answer, and its headers.
    async fn head(&mut self) -> (u16, String) {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            let read = self.0.read_line(&mut head).await.expect("a line");
            assert!(read > 0, "the connection ended: {head}");
        }
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        (status.expect("a status"), head.to_lowercase())
    }

    /// The next answer, whole.
    async fn answer(&mut self) -> (u16, String, Vec<u8>) {
        let (status, head) = self.head().await;
        let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
        let length: usize = length.expect("a length").parse().expect("a number");
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).await.expect("the body");
        (status, head, body)
    }

    async fn ask(&mut self, token: &str, path: &str) -> (u16, String, Value) {
        self.send(token, path, "application/json").await;
        let (status, head, body) = self.answer().await;
        (status, head, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }
}

/// Runs `asking` beside a server with these bounds.
async fn beside(server: &Server, options: ServeOptions, asking: impl AsyncFnOnce(SocketAddr)) {
    let served = RuntimeServer::new(server.runtime.clone(), server.tokens.clone());
    let served = served.with_serve_options(options);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let stop = CancellationToken::new();
    let serving = served.serve(listener, stop.clone());
    let asking = async {
        asking(address).await;
        stop.cancel();
    };
    let both = async { tokio::join!(serving, asking).0 };
    tokio::time::timeout(PATIENCE, both).await.expect("it ends in time").expect("it served");
}

fn is_over_its_share((status, head, problem): &(u16, String, Value), what: &str) {
    assert_eq!(*status, 503, "{problem}");
    assert!(head.contains("retry-after: "), "{head}");
    assert_eq!((&problem["code"], &problem["retryable"]), (&json!("capacity"), &json!(true)));
    let detail = problem["detail"].as_str().expect("a text");
    assert!(detail.contains("this caller has 2") && detail.contains(what), "{detail}");
}

#[tokio::test]
async fn a_token_that_has_all_event_streams_it_may_leaves_as_many_to_others() {
    let server = Server::new().await;
    let (greedy, other) = (server.scoped(Scope::Observe), server.scoped(Scope::Observe));
    let options = ServeOptions { max_event_streams: 4, ..ServeOptions::default() };
    beside(&server, options, async |address| {
        let open = async |token: &str| {
            let mut client = Client::connect(address).await;
            client.send(token, "/v1/events", "text/event-stream").await;
            let (status, _) = client.head().await;
            assert_eq!(status, 200);
            client
        };
        let mut streams = vec![open(&greedy).await, open(&greedy).await];
        let mut third = Client::connect(address).await;
        third.send(&greedy, "/v1/events", "text/event-stream").await;
        let (status, head, body) = third.answer().await;
        let problem = serde_json::from_slice(&body).expect("a problem");
        is_over_its_share(&(status, head, problem), "event streams");
        for _ in 0..2 {
            streams.push(open(&other).await);
        }
        let mut fifth = Client::connect(address).await;
        fifth.send(&server.scoped(Scope::Observe), "/v1/events", "text/event-stream").await;
        let (status, _, body) = fifth.answer().await;
        let problem = String::from_utf8_lossy(&body).into_owned();
        assert!(status == 503 && problem.contains("all are taken"), "{problem}");
        // What it gives back it may have again.
        drop(streams.remove(0));
        loop {
            let mut again = Client::connect(address).await;
            again.send(&greedy, "/v1/events", "text/event-stream").await;
            if again.head().await.0 == 200 {
                break;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_token_that_has_all_connections_it_may_leaves_as_many_to_others() {
    let server = Server::new().await;
    let (greedy, other) = (server.scoped(Scope::Observe), server.scoped(Scope::Observe));
    let options = ServeOptions { max_connections: 4, ..ServeOptions::default() };
    beside(&server, options, async |address| {
        let mut kept = Vec::new();
        for _ in 0..2 {
            let mut client = Client::connect(address).await;
            client.send(&greedy, "/v1/events", "text/event-stream").await;
            assert_eq!(client.head().await.0, 200);
            kept.push(client);
        }
        // Again and again, on more connections than there are: none of them stays.
        for _ in 0..8 {
            let refused = Client::connect(address).await.ask(&greedy, "/v1/runtime").await;
            is_over_its_share(&refused, "connections");
        }
        let mut others = Vec::new();
        for _ in 0..2 {
            let mut client = Client::connect(address).await;
            assert_eq!(client.ask(&other, "/v1/runtime").await.0, 200);
            others.push(client);
        }
        // A connection goes to whoever uses it, and is given back by whoever does not.
        let mut passed_on = others.pop().expect("a connection");
        kept.pop();
        loop {
            let (status, ..) = passed_on.ask(&greedy, "/v1/runtime").await;
            if status == 200 {
                break;
            }
            assert_eq!(status, 503);
        }
    })
    .await;
}

/// Asks for the end of the first turn of a Worker, and waits for it.
fn held(worker: WorkerId) -> String {
    format!("/v1/workers/{worker}/turns/1?wait_ms=60000")
}

#[tokio::test]
async fn a_token_that_has_all_answers_held_it_may_leaves_as_many_to_others() {
    let server = Server::new().await;
    let (greedy, other) = (server.scoped(Scope::Observe), server.scoped(Scope::Observe));
    let spin = CreateWorker::profile("base".parse().expect("a name")).input(Input::text("spin"));
    let worker = server.runtime.create(spin).await.expect("a Worker").worker_id;
    beside(&server, ServeOptions::default(), async |address| {
        let mut figures = Client::connect(address).await;
        let mut held_answers = async |count: usize| {
            let wanted = format!("\nyoi_held_answers {count}\n");
            loop {
                figures.send(&other, "/metrics", "*/*").await;
                let (_, _, text) = figures.answer().await;
                if String::from_utf8_lossy(&text).contains(&wanted) {
                    break;
                }
            }
        };
        let mut clients = Vec::new();
        for _ in 0..HELD_SHARE {
            let mut client = Client::connect(address).await;
            client.send(&greedy, &held(worker), "*/*").await;
            clients.push(client);
        }
        held_answers(HELD_SHARE).await;
        let (status, _, turn) = Client::connect(address).await.ask(&greedy, &held(worker)).await;
        assert_eq!((status, turn), (200, json!({ "turn_id": 1 })), "it is answered at once");
        let mut client = Client::connect(address).await;
        client.send(&other, &held(worker), "*/*").await;
        held_answers(HELD_SHARE + 1).await;
        server.runtime.cancel(worker, None).await.expect("cancelled");
        let (status, _, body) = client.answer().await;
        let turn: Value = serde_json::from_slice(&body).expect("a turn");
        assert_eq!((status, &turn["outcome"]["status"]), (200, &json!("cancelled")), "{turn}");
    })
    .await;
}
