//! What the benchmarks of the server share: a served Runtime, and a client that costs next to nothing.
#![allow(dead_code, unreachable_pub, reason = "each benchmark uses some of it")]

use std::{
    borrow::Cow,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use http_api::ServeOptions;
use runtime_server::{NewToken, RuntimeServer, Scope, TokenFile};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use worker_runtime::{Runtime, Store};
use worker_types::{ComponentRef, CreateWorker, Profile, ProfileName, WorkerId};

fn name(text: &str) -> ProfileName {
    text.parse().expect("a valid name")
}

/// A Runtime that is served on a port of this machine.
pub struct Served {
    pub runtime: Runtime,
    pub address: SocketAddr,
    pub token: String,
    pub directory: TempDir,
    _serving: AbortOnDropHandle<()>,
}

impl Served {
    /// With `echo`, and `hostile`: a guest that does what its input says.
    pub async fn new(options: ServeOptions, store: impl FnOnce(&TempDir) -> Store) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let component = ComponentRef::Builtin(name("hostile"));
        let hostile = Profile {
            name: name("hostile"),
            description: String::new(),
            component: component.clone(),
            optional: Default::default(),
            resume: false,
            commands: Default::default(),
            config: Default::default(),
        };
        let profiles = builtin_workers::profiles();
        let runtime = Runtime::builder("bench".parse().expect("an id"))
            .store(store(&directory))
            .components(builtin_workers::components())
            .components([(component, Cow::Borrowed(test_guests::HOSTILE_BASE))])
            .profiles(profiles.into_iter().filter(|profile| profile.name.as_str() == "echo"))
            .profiles([hostile])
            .build();
        let runtime = runtime.await.expect("a Runtime");
        let tokens = TokenFile::new(directory.path().join("tokens.json"));
        let new = NewToken { scopes: [Scope::Admin].into(), ..NewToken::default() };
        let token = tokens.add(new).expect("a token").1.reveal().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let server = RuntimeServer::new(runtime.clone(), tokens).with_serve_options(options);
        let serving = async move {
            server.serve(listener, CancellationToken::new()).await.expect("it serves");
        };
        let handle = tokio::runtime::Handle::current();
        let _serving = AbortOnDropHandle::new(handle.spawn(serving));
        Self { runtime, address, token, directory, _serving }
    }

    pub async fn worker(&self, profile: &str) -> WorkerId {
        let request = CreateWorker::profile(name(profile));
        self.runtime.create(request).await.expect("a Worker").worker_id
    }
}

/// One connection that is kept, used from a thread of its own.
pub struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("a connection");
        stream.set_nodelay(true).expect("an option");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("an option");
        Self { stream: BufReader::with_capacity(1 << 16, stream) }
    }

    /// Sends a request as it is.
    pub fn send(&mut self, request: &[u8]) {
        self.stream.get_mut().write_all(request).expect("sent");
    }

    /// Sends a request and reads the answer: its status and its body.
    pub fn ask(&mut self, request: &[u8]) -> (u16, Vec<u8>) {
        self.send(request);
        let status = self.line();
        let status = status.split(' ').nth(1).and_then(|status| status.parse().ok());
        let mut length = None;
        loop {
            let line = self.line().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse::<usize>().ok();
            }
        }
        let mut body = Vec::new();
        match length {
            Some(length) => self.read(length, &mut body),
            None => self.read_chunks(&mut body),
        }
        (status.expect("a status"), body)
    }

    /// A line without its end.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("a line");
        line.trim_end().to_owned()
    }

    /// What has arrived; empty at the end.
    pub fn piece(&mut self) -> Vec<u8> {
        let piece = self.stream.fill_buf().expect("a piece").to_vec();
        self.stream.consume(piece.len());
        piece
    }

    fn read(&mut self, length: usize, body: &mut Vec<u8>) {
        let read = (&mut self.stream).take(length as u64).read_to_end(body).expect("all of it");
        assert_eq!(read, length);
    }

    fn read_chunks(&mut self, body: &mut Vec<u8>) {
        loop {
            let length = usize::from_str_radix(&self.line(), 16).expect("a chunk");
            self.read(length, body);
            self.line();
            if length == 0 {
                return;
            }
        }
    }
}

/// The request for a stream of a Worker's events from the beginning.
pub fn stream_request(served: &Served, worker: WorkerId) -> Vec<u8> {
    format!(
        "GET /v1/workers/{worker}/events HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\
         Accept: text/event-stream\r\n\r\n",
        served.address, served.token
    )
    .into_bytes()
}

/// The time that half of these do not exceed.
pub fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
