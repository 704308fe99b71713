//! Serves the routes on a socket, with every resource bounded.

use std::{net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use axum::Router;
use http::Request;
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time,
};
use tokio_io_timeout::TimeoutStream;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceBuilder;

/// How long accepting pauses when the process is out of file descriptors: long enough for some
/// connection to end, short enough that nobody notices.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a connection reads ahead, and what it keeps of an answer that its client does not take:
/// many times the longest head of a request that a browser makes, and little beside what a reader
/// of events costs anyway.
const BUFFER_BYTES: usize = 64 << 10;

/// Who is at the other end of a connection, in its requests' extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

/// The bounds of the server.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// How long a client may take to send the head of a request. Default: 10 seconds.
    pub header_read_timeout: Duration,
    /// How long a client may take nothing of what it is sent. Then it is cut off: an event stream that is taken
    /// up again goes on from its last event. Default: 60 seconds, four heartbeats.
    pub write_timeout: Duration,
    /// Connections at once; more wait to be accepted. Default: 512, half of the file descriptors
    /// that a process usually has.
    pub max_connections: usize,
    /// Event streams at once; who asks for one more is refused as `capacity`. Default: 256, half of
    /// the connections, so that readers who never go leave room for commands. Such a reader costs
    /// up to about 2 MiB: a page of the log, and the backlog of its live events.
    pub max_event_streams: usize,
    /// How long open requests may take to finish after the shutdown. Default: 5 seconds.
    pub drain_grace: Duration,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            header_read_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(60),
            max_connections: 512,
            max_event_streams: 256,
            drain_grace: Duration::from_secs(5),
        }
    }
}

/// Accepts and serves connections until `shutdown`, then waits for the open ones.
pub async fn serve(
    listener: TcpListener,
    app: Router,
    options: &ServeOptions,
    shutdown: CancellationToken,
) {
    let connections = TaskTracker::new();
    let seats = Arc::new(Semaphore::new(options.max_connections));
    let mut http = http1::Builder::new();
    // Without a timer hyper has no timeouts at all, and a client that sends half a head stays.
    http.timer(TokioTimer::new())
        .header_read_timeout(options.header_read_timeout)
        .max_buf_size(BUFFER_BYTES);

    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            accepted = accept(&listener, &seats) => accepted,
        };
        let Some((stream, peer, seat)) = accepted else { continue };
        let connection = Connection {
            http: http.clone(),
            app: app.clone(),
            peer: Peer(peer),
            write_timeout: options.write_timeout,
            drain_grace: options.drain_grace,
            shutdown: shutdown.child_token(),
        };
        connections.spawn(async move {
            connection.serve(stream).await;
            drop(seat);
        });
    }
    // Whoever connects from now on is refused at once instead of waiting for nobody.
    drop(listener);
    connections.close();
    connections.wait().await;
}

/// The next connection, once there is a seat for it; nothing if it was gone before it was taken.
async fn accept(
    listener: &TcpListener,
    seats: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let seat = Arc::clone(seats).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => Some((stream, peer, seat)),
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "accepting failed");
            time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

struct Connection {
    http: http1::Builder,
    app: Router,
    peer: Peer,
    write_timeout: Duration,
    drain_grace: Duration,
    shutdown: CancellationToken,
}

impl Connection {
    async fn serve(self, stream: TcpStream) {
        // A streamed word is one small write: it must not wait for the next. Where the option
        // cannot be set the stream is only slower.
        let _ = stream.set_nodelay(true);
        let peer = self.peer;
        let service = ServiceBuilder::new()
            .map_request(move |mut request: Request<Incoming>| {
                request.extensions_mut().insert(peer);
                request
            })
            .service(self.app);
        let service = TowerToHyperService::new(service);
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(self.write_timeout));
        let stream = TokioIo::new(Box::pin(stream));
        let mut connection = pin!(self.http.serve_connection(stream, service));
        let ended = tokio::select! {
            ended = connection.as_mut() => Some(ended),
            () = self.shutdown.cancelled() => None,
        };
        let ended = match ended {
            Some(ended) => ended,
            None => {
                connection.as_mut().graceful_shutdown();
                match time::timeout(self.drain_grace, connection).await {
                    Ok(ended) => ended,
                    Err(_) => {
                        tracing::warn!("cut a connection that outlasted the shutdown");
                        return;
                    }
                }
            }
        };
        if let Err(error) = ended {
            // A client that went away, or one that was too slow: nothing an operator must mend.
            tracing::debug!(error = &error as &dyn std::error::Error, "a connection broke off");
        }
    }
}
