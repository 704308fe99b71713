//! The connection: where the Runtime is, who asks, and how long an answer may take.

use std::{fmt, net::IpAddr, time::Duration};

use reqwest::{Certificate, Method, RequestBuilder, Response, Url, header, redirect};
use serde::de::{self, DeserializeOwned};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    task,
};

use worker_types::{RuntimeError, RuntimeId};

use crate::{ClientError, events::STREAM_TRIES};

/// The token that a Runtime gave out.
#[derive(Clone)]
pub struct AuthToken(String);

impl AuthToken {
    /// The token as it was handed out; white space around it does not count.
    #[must_use]
    pub fn new(token: impl AsRef<str>) -> Self {
        Self(token.as_ref().trim().to_owned())
    }
}

impl fmt::Debug for AuthToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuthToken(***)")
    }
}

/// How to reach a Runtime.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// The longest it may take to connect. Default: 5 seconds.
    pub connect_timeout: Duration,
    /// The longest an answer may take, but for event streams and what is told to wait. Default: 30 seconds.
    pub answer_timeout: Duration,
    /// Certificates, as PEM, that are trusted besides those of the system. Default: none.
    pub certificates: Vec<u8>,
    /// TLS as the caller has set it up, which trusts whom it says and nobody besides. Default: this crate's own.
    pub tls: Option<rustls::ClientConfig>,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            answer_timeout: Duration::from_secs(30),
            certificates: Vec::new(),
            tls: None,
        }
    }
}

/// An address at which no Runtime can be asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidEndpoint {
    /// It is no address.
    #[error("not the address of a Runtime: expected one such as https://host:38800")]
    NotAnAddress,
    /// The token would cross a network in plain text.
    #[error(
        "the address is of another machine and not encrypted: use https, or come through `ssh -L`"
    )]
    PlainText,
    /// What is to be trusted is no certificate.
    #[error("what is to be trusted is no certificate in PEM")]
    Certificate(#[source] Option<reqwest::Error>),
    /// TLS cannot be set up.
    #[error("failed to set up TLS")]
    Setup(#[source] reqwest::Error),
}

/// The most that is read of an answer: several times the longest page, and little enough to hold a few.
const MAX_ANSWER_BYTES: usize = 64 << 20;

/// The most that is read of a refusal: some hundred lines of reasons.
pub(crate) const MAX_REFUSAL_BYTES: usize = 64 << 10;

/// What the answers that are being read take of memory together, for all clients of this process, in KiB, each
/// beyond its first: several of the longest, and thousands of usual ones.
const ANSWERS_KIB: usize = 256 << 10;

static ANSWERS: Semaphore = Semaphore::const_new(ANSWERS_KIB);

/// What a Runtime says of itself, at most.
pub(crate) const MAX_SUMMARY_BYTES: usize = 1 << 20;

/// An answer that is longer is read where it holds nobody up: it takes more than a millisecond.
const LONG_ANSWER_BYTES: usize = 512 << 10;

/// A client of one Runtime. Clones share its connections.
#[derive(Debug, Clone)]
pub struct RuntimeClient {
    base: Url,
    /// Where the Runtime's own paths begin.
    prefix: String,
    /// Where it says what it is.
    summary: String,
    token: AuthToken,
    http: reqwest::Client,
    answer_timeout: Duration,
    pub(crate) stream_tries: u32,
}

impl RuntimeClient {
    /// A client of the Runtime at `endpoint`, such as `https://host:38800`. Nothing is asked yet.
    ///
    /// # Errors
    ///
    /// See [`InvalidEndpoint`].
    pub fn new(endpoint: &str, token: AuthToken) -> Result<Self, InvalidEndpoint> {
        Self::with_options(endpoint, token, ClientOptions::default())
    }

    /// The same, reached in another way.
    ///
    /// # Errors
    ///
    /// See [`InvalidEndpoint`].
    pub fn with_options(
        endpoint: &str,
        token: AuthToken,
        options: ClientOptions,
    ) -> Result<Self, InvalidEndpoint> {
        let base = base(endpoint)?;
        let ClientOptions { connect_timeout, answer_timeout, certificates, tls } = options;
        let mut http = reqwest::Client::builder()
            // A proxy or a redirection would hand the token to somebody else.
            .no_proxy()
            .redirect(redirect::Policy::none())
            // Before the server ends a connection that is idle: it takes ten seconds.
            .pool_idle_timeout(Duration::from_secs(5))
            .connect_timeout(connect_timeout);
        if !certificates.is_empty() {
            let trusted = Certificate::from_pem_bundle(&certificates)
                .map_err(|error| InvalidEndpoint::Certificate(Some(error)))?;
            if trusted.is_empty() {
                return Err(InvalidEndpoint::Certificate(None));
            }
            http = http.tls_certs_merge(trusted);
        }
        if let Some(tls) = tls {
            http = http.tls_backend_preconfigured(tls).https_only(true);
        }
        // What is no certificate inside its PEM shows only here.
        let http = http.build().map_err(|error| match certificates.is_empty() {
            true => InvalidEndpoint::Setup(error),
            false => InvalidEndpoint::Certificate(Some(error)),
        })?;
        let (prefix, summary) = ("/v1".to_owned(), "/v1/runtime".to_owned());
        let stream_tries = STREAM_TRIES;
        Ok(Self { base, prefix, summary, token, http, answer_timeout, stream_tries })
    }

    /// The same, where a Backend answers at the endpoint: a client of its Runtime called `id`. What only a
    /// Runtime process can do, such as to drain, is refused there.
    #[must_use]
    pub fn behind_backend(mut self, id: &RuntimeId) -> Self {
        self.prefix = format!("/api/runtimes/{id}");
        self.summary.clone_from(&self.prefix);
        self
    }

    /// The same with another patience for streams of events: one that broke is taken up again at most so often in
    /// a row. Default: 10 times, for some half a minute.
    #[must_use]
    pub fn stream_tries(mut self, tries: u32) -> Self {
        self.stream_tries = tries;
        self
    }

    /// A client of what lies below `prefix`.
    pub(crate) fn below(mut self, prefix: &str) -> Self {
        prefix.clone_into(&mut self.prefix);
        self
    }

    pub(crate) fn summary_request(&self) -> RequestBuilder {
        self.at(Method::GET, &self.summary, &[])
    }

    pub(crate) fn request(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> RequestBuilder {
        self.at(method, &format!("{}/{}", self.prefix, path.join("/")), query)
    }

    fn at(&self, method: Method, path: &str, query: &[(&str, &str)]) -> RequestBuilder {
        let mut url = self.base.clone();
        url.set_path(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let request = self.http.request(method, url).timeout(self.answer_timeout);
        request.bearer_auth(&self.token.0)
    }

    /// The same, which may take longer by `wait`.
    pub(crate) fn patient(&self, request: RequestBuilder, wait: Duration) -> RequestBuilder {
        request.timeout(self.answer_timeout.saturating_add(wait))
    }

    /// The same as a stream, which lasts as long as it has something to say.
    pub(crate) async fn stream(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        let answer = request.timeout(Duration::MAX).header(header::ACCEPT, "text/event-stream");
        let answer = tokio::time::timeout(self.answer_timeout, self.send(answer)).await;
        answer.unwrap_or(Err(ClientError::Silent))
    }

    pub(crate) async fn ask<T: DeserializeOwned + Send + 'static>(
        &self,
        request: RequestBuilder,
    ) -> Result<T, ClientError> {
        self.ask_within(request, MAX_ANSWER_BYTES).await
    }

    /// The same, where no answer is longer than `limit`.
    pub(crate) async fn ask_within<T: DeserializeOwned + Send + 'static>(
        &self,
        request: RequestBuilder,
        limit: usize,
    ) -> Result<T, ClientError> {
        let (body, room) = read(self.send(request).await?, limit).await?;
        let parsed = if body.len() < LONG_ANSWER_BYTES {
            serde_json::from_slice(&body)
        } else {
            let parsing = task::spawn_blocking(move || {
                let _room = room;
                serde_json::from_slice(&body)
            });
            parsing.await.unwrap_or_else(|_| Err(de::Error::custom("nobody reads it any more")))
        };
        parsed.map_err(|error| ClientError::Answer { what: error.to_string() })
    }

    pub(crate) async fn command(&self, request: RequestBuilder) -> Result<(), ClientError> {
        self.send(request).await.map(drop)
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        let response = request.send().await.map_err(ClientError::of)?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let (body, _) = read(response, MAX_REFUSAL_BYTES).await?;
        Err(ClientError::read(status.as_u16(), &body))
    }
}

/// The whole answer, if it is no longer than `limit`, and the room that it takes.
async fn read(
    mut response: Response,
    limit: usize,
) -> Result<(Vec<u8>, Option<SemaphorePermit<'static>>), ClientError> {
    let (mut body, mut room) = (Vec::new(), None::<SemaphorePermit<'static>>);
    while let Some(piece) = response.chunk().await.map_err(ClientError::of)? {
        if body.len() + piece.len() > limit {
            let what = format!("more than {limit} bytes");
            return Err(ClientError::Answer { what });
        }
        body.extend_from_slice(&piece);
        let has = room.as_ref().map_or(0, SemaphorePermit::num_permits);
        let more = u32::try_from((body.len() >> 10).saturating_sub(has)).unwrap_or(u32::MAX);
        let more = ANSWERS.try_acquire_many(more).map_err(|_| {
            let reason = "as many long answers are on their way as there is room for".to_owned();
            ClientError::Refused(RuntimeError::Capacity { reason })
        })?;
        match &mut room {
            Some(room) => room.merge(more),
            None => room = Some(more),
        }
    }
    Ok((body, room))
}

fn base(endpoint: &str) -> Result<Url, InvalidEndpoint> {
    let url: Url = endpoint.parse().map_err(|_| InvalidEndpoint::NotAnAddress)?;
    let host = url.host_str().ok_or(InvalidEndpoint::NotAnAddress)?;
    let is_bare = url.username().is_empty() && url.password().is_none() && url.query().is_none();
    if !is_bare || url.path() != "/" {
        return Err(InvalidEndpoint::NotAnAddress);
    }
    let host = host.trim_matches(['[', ']']);
    let is_here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_here => Ok(url),
        "http" => Err(InvalidEndpoint::PlainText),
        _ => Err(InvalidEndpoint::NotAnAddress),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_crosses_no_network_in_plain_text_and_shows_nowhere() {
        for good in
            ["https://host:38800", "http://127.0.0.1:1", "http://[::1]:1", "http://localhost"]
        {
            assert!(base(good).is_ok(), "{good}");
        }
        for plain in ["http://host:38800", "http://10.0.0.1", "http://localhost.evil.example"] {
            assert!(matches!(base(plain), Err(InvalidEndpoint::PlainText)), "{plain}");
        }
        for bad in
            ["", "host:1", "ftp://host", "https://a:b@host", "https://host/path", "https://h?x"]
        {
            assert!(matches!(base(bad), Err(InvalidEndpoint::NotAnAddress)), "{bad}");
        }
        let client = RuntimeClient::new("http://127.0.0.1:1", AuthToken::new(" sesame\n"));
        assert!(!format!("{:?}", client.expect("a client")).contains("sesame"));
    }
}
