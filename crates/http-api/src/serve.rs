//! Serves the routes on a socket, with every resource bounded.

use std::{convert::Infallible, error::Error, net::SocketAddr, pin::pin, time::Duration};

use axum::Router;
use http::Request;
use http_body_util::{BodyExt as _, Either};
use hyper::{
    body::{Body as _, Incoming},
    server::conn::http1,
    service::{Service as _, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    time,
};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use worker_types::HostName;

use crate::{
    ServerTls,
    extract::BodyRoom,
    seats::{Seat, Seated, Seats},
};

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
    /// What connections are encrypted with. Default: nothing, they are not.
    pub tls: Option<ServerTls>,
    /// What the server is called by, besides its address: requests for other names are refused. Default:
    /// nothing.
    pub names: Vec<HostName>,
    /// How long a client may take to send the head of a request, and to agree on TLS before. Default: 10
    /// seconds.
    pub header_read_timeout: Duration,
    /// How long a client may take nothing of what it is sent. Then it is cut off: an event stream that is taken
    /// up again goes on from its last event. Default: 60 seconds, four heartbeats.
    pub write_timeout: Duration,
    /// Connections at once. Whoever comes then has the seat of one without a request that was let in, and
    /// waits where each has one. Default: 512, half of the file descriptors that a process usually has.
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
            tls: None,
            names: Vec::new(),
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
    let mut seats = Seats::new(options.max_connections);
    let bodies = BodyRoom::default();
    let mut http = http1::Builder::new();
    // Without a timer hyper has no timeouts at all, and a client that sends half a head stays.
    http.timer(TokioTimer::new())
        .header_read_timeout(options.header_read_timeout)
        .max_buf_size(BUFFER_BYTES);

    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            () = seats.ended() => continue,
            accepted = accept(&listener) => accepted,
        };
        let Some((stream, peer)) = accepted else { continue };
        tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            () = seats.make_room() => {}
        }
        let connection = Connection {
            http: http.clone(),
            app: app.clone(),
            peer: Peer(peer),
            bodies: bodies.clone(),
            options: options.clone(),
            shutdown: shutdown.child_token(),
        };
        seats.seat(|seat| connection.serve(stream, seat));
    }
    // Whoever connects from now on is refused at once instead of waiting for nobody.
    drop(listener);
    seats.all_ended().await;
}

/// The next connection; nothing if it was gone before it was taken.
async fn accept(listener: &TcpListener) -> Option<(TcpStream, SocketAddr)> {
    match listener.accept().await {
        Ok(accepted) => Some(accepted),
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
    bodies: BodyRoom,
    options: ServeOptions,
    shutdown: CancellationToken,
}

impl Connection {
    async fn serve(self, stream: TcpStream, seat: Seat) {
        // A streamed word is one small write: it must not wait for the next. Where the option
        // cannot be set the stream is only slower.
        let _ = stream.set_nodelay(true);
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(self.options.write_timeout));
        let stream = Box::pin(stream);
        let Some(tls) = &self.options.tls else {
            return self.serve_http(stream, seat).await;
        };
        let handshake = tls.acceptor().accept(stream);
        let handshake = tokio::select! {
            handshake = time::timeout(self.options.header_read_timeout, handshake) => handshake,
            // Nothing was asked yet.
            () = self.shutdown.cancelled() => return,
        };
        match handshake {
            Ok(Ok(stream)) => self.serve_http(stream, seat).await,
            Ok(Err(error)) => broke_off(&error),
            Err(elapsed) => broke_off(&elapsed),
        }
    }

    async fn serve_http(
        self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        seat: Seat,
    ) {
        let Self { http, app, peer, bodies, options, shutdown } = self;
        let app = TowerToHyperService::new(app);
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer);
            request.extensions_mut().insert(seat.clone());
            request.extensions_mut().insert(bodies.clone());
            let (seated, answer) = (Seated(seat.clone()), app.call(request));
            async move {
                let Ok(answer) = answer.await;
                // What is whole only has to be taken, and who does not take it is not waited for. What has no
                // end yet is under way until then.
                Ok::<_, Infallible>(answer.map(|body| {
                    if body.size_hint().exact().is_some() {
                        return Either::Left(body);
                    }
                    Either::Right(body.map_frame(move |frame| {
                        let _ = &seated;
                        frame
                    }))
                }))
            }
        });
        let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
        let ended = tokio::select! {
            ended = connection.as_mut() => Some(ended),
            () = shutdown.cancelled() => None,
        };
        let ended = match ended {
            Some(ended) => ended,
            None => {
                connection.as_mut().graceful_shutdown();
                match time::timeout(options.drain_grace, connection).await {
                    Ok(ended) => ended,
                    Err(_) => {
                        tracing::debug!("cut a connection that outlasted the shutdown");
                        return;
                    }
                }
            }
        };
        if let Err(error) = ended {
            broke_off(&error);
        }
    }
}

/// A client that went away, or one that was too slow: nothing an operator must mend.
fn broke_off(error: &(dyn Error + 'static)) {
    tracing::debug!(error, "a connection broke off");
}
