//! Clients that connect and say little, or take nothing, on real sockets: many more than there are seats, and those
//! that a shutdown finds.
#![cfg(unix)]

use std::{future::pending, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, body::Bytes, routing::get};
use http_api::{ServeOptions, ServerTls, serve};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustls::{ClientConfig, ClientConnection, RootCertStore, crypto::aws_lc_rs};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::JoinSet,
    time,
};
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(60);

const SLOW: usize = 1_000;

/// More than sockets hold.
static LARGE: [u8; 16 << 20] = [0; 16 << 20];

/// A server whose own limits on time are longer than a test: what makes room is that seats are given up.
struct Served {
    address: SocketAddr,
    /// A word for each request for a large answer.
    asked: UnboundedReceiver<()>,
    tasks: JoinSet<()>,
}

impl Served {
    async fn new() -> Self {
        // Both ends of all connections are here.
        let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).expect("more open files");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (tell, asked) = unbounded_channel();
        let large = async move || {
            tell.send(()).expect("the test runs");
            Bytes::from_static(&LARGE)
        };
        let app = Router::new().route("/", get(async || "served")).route("/large", get(large));
        let options = ServeOptions {
            header_read_timeout: PATIENCE * 2,
            write_timeout: PATIENCE * 2,
            ..ServeOptions::default()
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            serve(listener, app, &options, CancellationToken::new()).await;
        });
        Self { address, asked, tasks }
    }

    async fn ask(&self) -> String {
        let mut stream = TcpStream::connect(self.address).await.expect("a connection");
        let head = format!("GET / HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address);
        stream.write_all(head.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        answer
    }

    async fn is_healthy(&self) {
        for _ in 0..3 {
            let answer = time::timeout(PATIENCE, self.ask()).await.expect("served in time");
            assert!(answer.ends_with("served"), "{answer}");
        }
    }
}

/// A client that sends half a head, and comes again when it is cut off. Says each time that it was.
async fn send_half_a_head(address: SocketAddr, cut_off: UnboundedSender<()>) {
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

/// A client that asks again and again for what everybody may have, and comes again when it is cut off.
async fn ask_again_and_again(address: SocketAddr, cut_off: UnboundedSender<()>) {
    loop {
        let Ok(mut stream) = TcpStream::connect(address).await else { continue };
        let mut answer = [0; 1 << 10];
        while stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.is_ok()
            && stream.read(&mut answer).await.is_ok_and(|read| read > 0)
        {
            time::sleep(Duration::from_millis(300)).await;
        }
        if cut_off.send(()).is_err() {
            return;
        }
    }
}

/// A client that asks for a large answer and reads nothing of it.
async fn take_nothing(address: SocketAddr) {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let _ = stream.write_all(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n").await;
    pending().await
}

#[tokio::test]
async fn a_thousand_half_heads_leave_a_healthy_client_served() {
    let mut served = Served::new().await;
    let (tell, mut cut_off) = unbounded_channel();
    for _ in 0..SLOW {
        served.tasks.spawn(send_half_a_head(served.address, tell.clone()));
    }
    // All seats were taken, or nobody would have been cut off.
    cut_off.recv().await.expect("somebody was cut off");
    served.is_healthy().await;
}

#[tokio::test]
async fn a_thousand_clients_that_nobody_let_in_leave_a_healthy_one_served() {
    let mut served = Served::new().await;
    let (tell, mut cut_off) = unbounded_channel();
    for _ in 0..SLOW {
        served.tasks.spawn(ask_again_and_again(served.address, tell.clone()));
    }
    cut_off.recv().await.expect("somebody was cut off");
    served.is_healthy().await;
}

#[tokio::test]
async fn a_thousand_answers_that_nobody_takes_leave_a_healthy_client_served() {
    let mut served = Served::new().await;
    for _ in 0..SLOW {
        served.tasks.spawn(take_nothing(served.address));
    }
    for _ in 0..ServeOptions::default().max_connections {
        served.asked.recv().await.expect("it serves");
    }
    served.is_healthy().await;
}

/// What a client begins to agree on TLS with.
fn client_hello() -> Vec<u8> {
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions of TLS")
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let name = "localhost".try_into().expect("a name");
    let mut client = ClientConnection::new(Arc::new(config), name).expect("a client");
    let mut hello = Vec::new();
    client.write_tls(&mut hello).expect("written to memory");
    hello
}

#[tokio::test]
async fn clients_that_do_not_finish_their_handshake_hold_up_no_shutdown() {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let key = signing_key.serialize_pem();
    let tls = ServerTls::from_pem(cert.pem().as_bytes(), key.as_bytes()).expect("TLS");
    // All that a client may take its time for is longer than the test.
    let options = ServeOptions {
        tls: Some(tls),
        header_read_timeout: PATIENCE * 2,
        write_timeout: PATIENCE * 2,
        drain_grace: PATIENCE * 2,
        ..ServeOptions::default()
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let shutdown = CancellationToken::new();
    let app = Router::new().route("/", get(async || "served"));
    let serving = serve(listener, app, &options, shutdown.clone());
    let clients = async {
        let hello = client_hello();
        // They are taken in the order in which they come, so the answer to the last tells that all were.
        let mut connected = Vec::new();
        for sent in [&[][..], &hello[..hello.len() / 2], &hello] {
            let mut stream = TcpStream::connect(address).await.expect("a connection");
            stream.write_all(sent).await.expect("sent");
            connected.push(stream);
        }
        let last = connected.last_mut().expect("a connection");
        last.read_u8().await.expect("the server's part of the handshake");
        shutdown.cancel();
        connected
    };
    let ended = time::timeout(PATIENCE, async { tokio::join!(serving, clients) }).await;
    ended.expect("nobody is waited for");
}
