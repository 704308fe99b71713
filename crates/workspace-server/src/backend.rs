//! The Backend and its routes.

use std::{net::SocketAddr, sync::Arc, time::Instant};

use axum::{Router, middleware, routing::get};
use http_api::{EventStreams, OwnAddress, Problem, ServeOptions, Shares, finish_response};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    AccessToken, BackendServeError, LaunchPolicy, PasswordFile, Registration, RemoteDefinitions,
    RuntimeRegistry, RuntimeSource, api, auth::Auth, console, cookie::SessionCookie, guard,
};

/// Answers that are held back at once until a turn ends: with the event streams, these leave a quarter of the
/// connections for everything else.
const HELD: usize = 128;

/// The Backend. Clones are handles of the same one.
#[derive(Debug, Clone)]
pub struct Backend {
    registry: Arc<RuntimeRegistry>,
    policy: Arc<LaunchPolicy>,
    auth: Arc<Auth>,
    remotes: Option<Arc<RemoteDefinitions>>,
    options: ServeOptions,
    event_streams: Shares,
    held: Shares,
}

/// What every handler can reach. It is cloned several times for each request.
pub(crate) type AppState = Arc<Served>;

/// A Backend as it is served on one address.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) registry: Arc<RuntimeRegistry>,
    pub(crate) policy: Arc<LaunchPolicy>,
    pub(crate) auth: Arc<Auth>,
    /// Where nothing is kept, no Runtime can be added by request.
    pub(crate) remotes: Option<Arc<RemoteDefinitions>>,
    pub(crate) own_address: OwnAddress,
    pub(crate) is_encrypted: bool,
    /// Whether one-time links sign browsers in.
    pub(crate) takes_links: bool,
    pub(crate) cookie: SessionCookie,
    pub(crate) event_streams: EventStreams,
    /// One for each answer that may be held back until a turn ends.
    pub(crate) held: Shares,
    /// Cancelled when the server goes: what holds a response open ends it.
    pub(crate) shutdown: CancellationToken,
}

impl Backend {
    /// The Backend of these Runtimes. Of `access_token` only a digest is kept.
    ///
    /// Whoever keeps the registry, in an `Arc`, can add Runtimes while the Backend serves.
    #[must_use]
    pub fn new(
        registry: impl Into<Arc<RuntimeRegistry>>,
        policy: LaunchPolicy,
        access_token: &AccessToken,
    ) -> Self {
        let options = ServeOptions::default();
        Self {
            registry: registry.into(),
            policy: Arc::new(policy),
            auth: Arc::new(Auth::new(access_token)),
            remotes: None,
            event_streams: event_streams(&options),
            held: Shares::undivided("answers held back", HELD),
            options,
        }
    }

    /// The same, at which browsers also sign in with a password. To be called before links are made.
    #[must_use]
    pub fn with_password(mut self, password: PasswordFile) -> Self {
        self.auth = Arc::new(self.auth.anew_with(password));
        self
    }

    /// The same Backend, served with other bounds.
    #[must_use]
    pub fn with_serve_options(mut self, options: ServeOptions) -> Self {
        self.event_streams = event_streams(&options);
        self.options = options;
        self
    }

    /// The same, at which requests add and remove remote Runtimes, which are kept in `remotes`. Those that are
    /// there already are registered; of one whose token is not there any more the list says so.
    #[must_use]
    pub fn with_remotes(mut self, mut remotes: RemoteDefinitions) -> Self {
        let definitions: Vec<_> = remotes.all().cloned().collect();
        for definition in definitions {
            let registered = remotes.reconnect(&definition).and_then(|remote| {
                self.registry.register(Registration::new(RuntimeSource::remote(remote)).by_api())
            });
            if let Err(error) = registered {
                let runtime_id = &definition.runtime_id;
                tracing::warn!(%runtime_id, %error, "a remote Runtime is left out");
            }
        }
        self.remotes = Some(Arc::new(remotes));
        self
    }

    /// A path and query, `/?token=…`, that signs one browser in. It works once, for ten minutes,
    /// and only the newest sixteen work; none does on an address that other machines reach. There, links would lie
    /// in histories and in the logs of what stands between, and browsers sign in with the password.
    #[must_use]
    pub fn login_link(&self) -> String {
        console::login_path(&self.auth.issue_link(Instant::now()))
    }

    /// Whether the Backend may be served on `address`. This waits for the disk.
    ///
    /// # Errors
    ///
    /// The file of the password is of no use; or other machines reach the address, and the options have no TLS, or
    /// there is no password.
    pub fn check(&self, address: SocketAddr) -> Result<(), BackendServeError> {
        let has_password = self.auth.check_password().map_err(BackendServeError::Password)?;
        if address.ip().is_loopback() {
            Ok(())
        } else if self.options.tls.is_none() {
            Err(BackendServeError::NotLoopback { address })
        } else if !has_password {
            Err(BackendServeError::NoPassword { address })
        } else {
            Ok(())
        }
    }

    /// Serves until `shutdown` is cancelled, then ends event streams, lets running requests finish
    /// within the grace of the options, and returns.
    ///
    /// # Errors
    ///
    /// See [`Backend::check`].
    pub async fn serve(
        &self,
        listener: TcpListener,
        shutdown: CancellationToken,
    ) -> Result<(), BackendServeError> {
        let address =
            listener.local_addr().map_err(|err| BackendServeError::LocalAddress { err })?;
        let backend = self.clone();
        // It reads the file of the password, which waits for the disk.
        let checked = tokio::task::spawn_blocking(move || backend.check(address)).await;
        checked.map_err(|_| BackendServeError::Ending)??;
        let app = self.app(address, shutdown.clone());
        tokio::select! {
            () = http_api::serve(listener, app, &self.options, shutdown) => {}
            () = self.registry.watch() => {}
            () = self.auth.watch() => {}
        }
        if let Some(remotes) = &self.remotes {
            remotes.settled().await;
        }
        Ok(())
    }

    /// The routes, as served on `address`. Requests for another host or port are refused, and
    /// event streams end when `shutdown` is cancelled.
    ///
    /// For tests and for embedders that bring their own server; it must listen on loopback only, or encrypt.
    /// Wrong passwords are limited by address only where each request has its [`Peer`](http_api::Peer) in its
    /// extensions, and event streams end with their session at its next request.
    pub fn app(&self, address: SocketAddr, shutdown: CancellationToken) -> Router {
        let own_address = OwnAddress::new(address, &self.options);
        let is_encrypted = self.options.tls.is_some();
        app(Arc::new(Served {
            registry: Arc::clone(&self.registry),
            policy: Arc::clone(&self.policy),
            auth: Arc::clone(&self.auth),
            remotes: self.remotes.clone(),
            takes_links: !own_address.is_open(),
            cookie: SessionCookie::new(own_address.port(), is_encrypted),
            is_encrypted,
            own_address,
            event_streams: EventStreams::new(self.event_streams.clone(), shutdown.clone()),
            held: self.held.clone(),
            shutdown,
        }))
    }
}

/// All browsers and programs of the one person whose Backend this is are the same few callers, so nothing is
/// divided among them.
fn event_streams(options: &ServeOptions) -> Shares {
    Shares::undivided("event streams", options.max_event_streams)
}

fn app(state: AppState) -> Router {
    Router::new()
        .route("/", get(console::page))
        .route("/favicon.ico", get(console::icon))
        .route("/assets/{name}", get(console::asset))
        .nest("/api", api::routes(&state))
        // A nest does not take its own path with a slash.
        .route("/api/", api::nothing(&state))
        .fallback(async || Problem::NotFound)
        .method_not_allowed_fallback(async || Problem::MethodNotAllowed)
        .layer(middleware::from_fn_with_state(state.clone(), guard::check_host))
        .layer(middleware::map_response(guard::page_policy))
        .layer(middleware::from_fn(finish_response))
        .with_state(state)
}
