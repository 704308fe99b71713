//! On real sockets: a reader that reads no more holds nothing for long, and misses nothing.

use std::{net::SocketAddr, time::Duration};

use http_api::ServeOptions;
use runtime_server::{RuntimeServer, Scope};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};
use tokio_util::sync::CancellationToken;
use worker_types::{Input, InputOptions, WorkerId};

use crate::support::Server;

const PATIENCE: Duration = Duration::from_secs(60);

async fn ask(address: SocketAddr, token: &str, path: &str, accept: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let head = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\
         Accept: {accept}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.expect("written");
    stream
}

/// The places that a stream names, until it has named `last` or has ended.
async fn places(stream: TcpStream, last: u64) -> Vec<u64> {
    let mut lines = BufReader::with_capacity(1 << 20, stream).split(b'\n');
    let (mut places, mut place) = (Vec::new(), None);
    while places.last() != Some(&last)
        && let Ok(Some(line)) = lines.next_segment().await
    {
        let line = String::from_utf8_lossy(&line);
        if let Some(id) = line.strip_prefix("id: ") {
            place = id.rsplit('.').next().and_then(|place| place.trim().parse::<u64>().ok());
        }
        // An event counts once it is whole.
        if line.is_empty() {
            places.extend(place.take());
        }
    }
    places
}

#[tokio::test]
async fn a_reader_that_reads_no_more_is_cut_off_and_goes_on_from_its_last_event() {
    let server = Server::new().await;
    let (token, worker) = (server.scoped(Scope::Admin), server.worker("a").await);
    let id: WorkerId = worker.parse().expect("an id");
    // More than sockets hold.
    for _ in 0..24 {
        let input = Input::text("x".repeat(500_000));
        let turn = server.runtime.input(id, input, InputOptions::default()).await.expect("a turn");
        server.runtime.outcome(id, turn.turn_id).await.expect("its end");
    }
    let last = server.runtime.worker(id).expect("the Worker").last_seq.get();

    let options = ServeOptions { write_timeout: Duration::from_secs(4), ..Default::default() };
    let served = RuntimeServer::new(server.runtime.clone(), server.tokens.clone());
    let served = served.with_serve_options(options);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let stop = CancellationToken::new();
    let serving = served.serve(listener, stop.clone());
    let reading = async {
        let path = format!("/v1/workers/{worker}/events");
        let stalled = ask(address, &token, &path, "text/event-stream").await;
        let open = async || {
            let mut answer = String::new();
            let mut figures = ask(address, &token, "/metrics", "*/*").await;
            figures.read_to_string(&mut answer).await.expect("text");
            answer.contains("yoi_event_streams 1\n")
        };
        while !open().await {}
        // Nobody reads; that it is cut off shows in the figures.
        while open().await {}
        let seen = places(stalled, last).await;
        let until = *seen.last().expect("what was on its way");
        assert!(until < last, "it was cut off");
        let path = format!("{path}?after={until}");
        let rest = places(ask(address, &token, &path, "text/event-stream").await, last).await;
        let all: Vec<u64> = seen.into_iter().chain(rest).collect();
        assert_eq!(all, (1..=last).collect::<Vec<_>>());
        stop.cancel();
    };
    let both = async { tokio::join!(serving, reading).0 };
    let ended = tokio::time::timeout(PATIENCE, both).await.expect("it ends in time");
    ended.expect("it served");
}
