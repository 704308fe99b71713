#![cfg(unix)]
//! Clients that connect and say little, many more than there are seats, on real sockets.

use std::{net::SocketAddr, time::Duration};

use axum::{Router, routing::get};
use http_api::{ServeOptions, serve};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time,
};
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(60);

/// A client that sends half a head, and comes again when it is cut off. Says each time that it was.
async fn be_slow(address: SocketAddr, cut_off: tokio::sync::mpsc::UnboundedSender<()>) {
    loop {
        let Ok(mut stream) = TcpStream::connect(address).await else { continue };
        let _ = stream.write_all(b"GET / HTTP/1.1\r\nHost: a").await;
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        if cut_off.send(()).is_err() {
            return;
        }
    }
}

async fn ask(address: SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let head = format!("GET / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    answer
}

#[tokio::test]
async fn a_thousand_slow_connections_leave_a_healthy_client_served() {
    // Both ends of all of them are here.
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).expect("more open files");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    // Slow heads time out later than this test does: what makes room is that they give up their seats.
    let options = ServeOptions { header_read_timeout: PATIENCE * 2, ..ServeOptions::default() };
    let app = Router::new().route("/", get(async || "served"));
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    let serving = stop.clone();
    tasks.spawn(async move { serve(listener, app, &options, serving).await });
    let (tell, mut cut_off) = tokio::sync::mpsc::unbounded_channel();
    for _ in 0..1_000 {
        tasks.spawn(be_slow(address, tell.clone()));
    }
    let healthy = async {
        // All seats were taken, or nobody would have been cut off.
        cut_off.recv().await.expect("somebody was cut off");
        for _ in 0..3 {
            let answer = ask(address).await;
            assert!(answer.ends_with("served"), "{answer}");
        }
    };
    time::timeout(PATIENCE, healthy).await.expect("it is served in time");
    stop.cancel();
    tasks.abort_all();
}
