//! The server of one Runtime.

use std::{io, net::SocketAddr, sync::Arc};

use axum::{Router, middleware};
use http_api::{EventStreams, OwnAddress, Problem, ServeOptions, Shares, finish_response};
use jiff::Timestamp;
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::sync::CancellationToken;
use worker_runtime::Runtime;
use worker_types::Usage;

use crate::{TokenFile, TokenFileError, api, failures::Failures, guard, known_tokens::Tokens};

/// Components that may be on their way in at once: each is held in memory as a whole.
const UPLOADS: usize = 2;

/// Answers that are held back at once until a turn ends: with the event streams, these leave a quarter of the
/// connections for everything else, of which one token has half at most, as of those.
const HELD: usize = 128;

/// A Runtime, to be served over HTTP. Clones are handles of the same one.
#[derive(Debug, Clone)]
pub struct RuntimeServer {
    runtime: Runtime,
    tokens: Arc<Tokens>,
    failures: Arc<Failures>,
    usage_before: Usage,
    options: ServeOptions,
    connections: Shares,
    event_streams: Shares,
    uploads: Arc<Semaphore>,
    held: Shares,
}

/// Why a Runtime is not served.
#[derive(Debug, thiserror::Error)]
pub enum ServeRuntimeError {
    /// Other machines reach the address, and nothing is encrypted.
    #[error("{address} can be reached from other machines, and nothing is encrypted")]
    NotLoopback {
        /// The listener's address.
        address: SocketAddr,
    },
    /// Other machines reach the address, and nobody is let in.
    #[error("{address} can be reached from other machines, and there is no token that counts")]
    NoTokens {
        /// The listener's address.
        address: SocketAddr,
    },
    /// Other machines reach the address, and it cannot be told who is let in.
    #[error(
        "{address} can be reached from other machines, and it cannot be told who is to be let in"
    )]
    Tokens {
        /// The listener's address.
        address: SocketAddr,
        /// What is wrong with the tokens.
        #[source]
        error: TokenFileError,
    },
    /// The process ends before it was known whether the Runtime may be served.
    #[error("the process ends before it serves")]
    Ending,
    /// The operating system does not say where the listener listens.
    #[error("failed to find out the listener's address")]
    LocalAddress(#[source] io::Error),
}

/// What every handler can reach.
#[derive(Debug, Clone)]
pub(crate) struct ServerState {
    pub(crate) runtime: Runtime,
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) failures: Arc<Failures>,
    /// What the Workers had used when the server was made.
    pub(crate) usage_before: Usage,
    pub(crate) own_address: OwnAddress,
    pub(crate) connections: Shares,
    pub(crate) event_streams: EventStreams,
    pub(crate) uploads: Arc<Semaphore>,
    /// One for each answer that may be held back until a turn ends.
    pub(crate) held: Shares,
    /// Cancelled when the server goes: what holds an answer back gives it.
    pub(crate) shutdown: CancellationToken,
}

impl RuntimeServer {
    /// `runtime`, for those who have a token of `tokens`.
    #[must_use]
    pub fn new(runtime: Runtime, tokens: TokenFile) -> Self {
        let options = ServeOptions::default();
        Self {
            usage_before: runtime.overview().usage,
            runtime,
            tokens: Arc::new(Tokens::new(tokens)),
            failures: Arc::default(),
            connections: connections(&options),
            event_streams: event_streams(&options),
            uploads: Arc::new(Semaphore::new(UPLOADS)),
            held: Shares::halved("answers held back", HELD),
            options,
        }
    }

    /// The same, served with other bounds.
    #[must_use]
    pub fn with_serve_options(mut self, options: ServeOptions) -> Self {
        self.connections = connections(&options);
        self.event_streams = event_streams(&options);
        self.options = options;
        self
    }

    /// Whether the Runtime may be served on `address`. This waits for the disk.
    ///
    /// # Errors
    ///
    /// Other machines reach the address, and the options have no TLS, or there is no token that counts, as
    /// far as that can be told.
    pub fn check(&self, address: SocketAddr) -> Result<(), ServeRuntimeError> {
        if address.ip().is_loopback() {
            return Ok(());
        }
        if self.options.tls.is_none() {
            return Err(ServeRuntimeError::NotLoopback { address });
        }
        match self.tokens.any(Timestamp::now()) {
            Ok(true) => Ok(()),
            Ok(false) => Err(ServeRuntimeError::NoTokens { address }),
            Err(error) => Err(ServeRuntimeError::Tokens { address, error }),
        }
    }

    /// Serves until `shutdown` is cancelled, then ends event streams, lets running requests finish within
    /// the grace of the options, and returns. The Runtime is not shut down.
    ///
    /// # Errors
    ///
    /// See [`RuntimeServer::check`].
    pub async fn serve(
        &self,
        listener: TcpListener,
        shutdown: CancellationToken,
    ) -> Result<(), ServeRuntimeError> {
        let address = listener.local_addr().map_err(ServeRuntimeError::LocalAddress)?;
        let server = self.clone();
        // It reads the tokens, which waits for the disk.
        let checked = tokio::task::spawn_blocking(move || server.check(address)).await;
        checked.map_err(|_| ServeRuntimeError::Ending)??;
        let app = self.app(address, shutdown.clone());
        http_api::serve(listener, app, &self.options, shutdown).await;
        Ok(())
    }

    /// The routes, as served on `address`. Requests for another host or port are refused, and event streams
    /// end when `shutdown` is cancelled.
    ///
    /// For tests and for embedders that bring their own server; it must listen on loopback only, or encrypt. Wrong tokens are
    /// limited by address only where each request has its [`Peer`](http_api::Peer) in its extensions.
    pub fn app(&self, address: SocketAddr, shutdown: CancellationToken) -> Router {
        let state = ServerState {
            runtime: self.runtime.clone(),
            tokens: Arc::clone(&self.tokens),
            failures: Arc::clone(&self.failures),
            usage_before: self.usage_before,
            own_address: OwnAddress::new(address, &self.options),
            connections: self.connections.clone(),
            event_streams: EventStreams::new(self.event_streams.clone(), shutdown.clone()),
            uploads: Arc::clone(&self.uploads),
            held: self.held.clone(),
            shutdown,
        };
        api::router(&state)
            .fallback(async || Problem::NotFound)
            .method_not_allowed_fallback(async || Problem::MethodNotAllowed)
            .layer(middleware::from_fn_with_state(state.clone(), guard::check_origin))
            .layer(middleware::from_fn(finish_response))
            .with_state(state)
    }
}

fn connections(options: &ServeOptions) -> Shares {
    Shares::halved("connections", options.max_connections)
}

fn event_streams(options: &ServeOptions) -> Shares {
    Shares::halved("event streams", options.max_event_streams)
}
