//! Servers that behave badly in ways an HTTP library does not let a server behave.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// After this long a test that waits for a condition has failed.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// What a server does after it has written its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// Closes the connection.
    Close,
    /// Keeps it open until the client closes it.
    Hold,
}

/// A server for one connection.
pub(super) struct RawServer {
    pub(super) base_url: String,
    tasks: JoinSet<Vec<u8>>,
}

impl RawServer {
    /// Reads one request, writes `bytes` as they are, and then does `then`.
    pub(super) async fn start(bytes: impl Into<Vec<u8>>, then: Then) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
        let bytes = bytes.into();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let (mut connection, _) = listener.accept().await.unwrap();
            let request = read_request(&mut connection).await;
            connection.write_all(&bytes).await.unwrap();
            if then == Then::Hold {
                let mut rest = [0; 64];
                // Both an end and a reset say that the client is gone.
                while connection.read(&mut rest).await.is_ok_and(|read| read > 0) {}
            }
            request
        });
        Self { base_url, tasks }
    }

    /// Waits until the connection is closed, and gives the request.
    pub(super) async fn closed(mut self) -> Vec<u8> {
        let ended = tokio::time::timeout(PATIENCE, self.tasks.join_next()).await;
        ended.expect("the connection is still open").unwrap().unwrap()
    }
}

async fn read_request(connection: &mut TcpStream) -> Vec<u8> {
    let mut request = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let read = connection.read(&mut piece).await.unwrap();
        assert!(read > 0, "the client closed before its request was complete");
        request.extend_from_slice(&piece[..read]);
        let text = String::from_utf8_lossy(&request).to_lowercase();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length: usize = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length:"))
            .map_or(0, |length| length.trim().parse().unwrap());
        if body.len() >= length {
            return request;
        }
    }
}

/// The head of a stream that ends with the connection.
pub(super) const STREAM_HEAD: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";

/// The head of a chunked stream.
pub(super) const CHUNKED_HEAD: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

/// `text` as one chunk of a chunked stream.
pub(super) fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}
