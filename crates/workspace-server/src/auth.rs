//! Who may talk to the Backend: the bearer of the access token, and browsers that a one-time link or the
//! password let in.

use std::{
    fmt,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use http::{HeaderMap, header};
use http_api::{FileStamp, Problem, Secret, SecretDigest, bearer_token};
use tokio_util::sync::CancellationToken;
use worker_types::RuntimeError;

use crate::{
    Password, PasswordFile, PasswordFileError, attempts::Attempts, cookie::SessionCookie,
    session::Doors,
};

/// How often it is looked whether sessions with open event streams are over.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// The secret that gives a program, such as the CLI, access to the Backend.
///
/// Whoever made it hands it on through [`reveal`](Self::reveal); the Backend keeps its digest only.
pub struct AccessToken(Secret);

impl AccessToken {
    /// A new token of 256 random bits.
    ///
    /// # Panics
    ///
    /// If the operating system has no randomness to give.
    #[must_use]
    pub fn generate() -> Self {
        Self(Secret::generate())
    }

    /// The token itself, for the one place that stores or sends it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        self.0.reveal()
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessToken(***)")
    }
}

/// How a request was let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Principal {
    /// By the access token: a program that was given it.
    Bearer,
    /// By the cookie: a browser, which sends it whoever wrote the page that asks.
    Session,
}

impl Principal {
    /// The word for it, of which idempotency keys are a part. It stays the same when the Backend
    /// starts anew, which no token and no cookie does.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bearer => "bearer",
            Self::Session => "session",
        }
    }

    /// Refuses what a browser must not do, for this reason.
    pub(crate) fn must_be_bearer(self, reason: &str) -> Result<(), Problem> {
        match self {
            Self::Bearer => Ok(()),
            Self::Session => Err(Problem::forbidden(reason)),
        }
    }
}

/// How long a request that was let in may hold something open.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stay(Option<CancellationToken>);

impl Stay {
    /// Ends with the session. A program with the access token may stay.
    pub(crate) fn over(&self) -> impl Future<Output = ()> + Send + 'static {
        let session = self.0.clone();
        async move {
            match session {
                Some(over) => over.cancelled().await,
                None => std::future::pending().await,
            }
        }
    }
}

/// Why a password did not sign in.
#[derive(Debug)]
pub(crate) enum SignInError {
    /// It is not the password; or there is none.
    Wrong,
    /// The address has tried too many, and has to wait so long.
    TooMany(Duration),
    /// Too many are being compared.
    Full(RuntimeError),
    /// It cannot be told what the password is.
    File(PasswordFileError),
    /// The process ends.
    Ending,
}

/// The credentials the Backend accepts. Only digests of them are here.
#[derive(Debug)]
pub(crate) struct Auth {
    access: SecretDigest,
    password: Option<PasswordFile>,
    attempts: Attempts,
    doors: Mutex<Doors>,
}

impl Auth {
    pub(crate) fn new(access: &AccessToken) -> Self {
        Self::of(access.0.digest(), None)
    }

    /// One with the same access token, at which browsers also sign in with a password.
    pub(crate) fn anew_with(&self, password: PasswordFile) -> Self {
        Self::of(self.access, Some(password))
    }

    fn of(access: SecretDigest, password: Option<PasswordFile>) -> Self {
        let doors = Mutex::new(Doors::default());
        Self { access, password, attempts: Attempts::default(), doors }
    }

    /// Whether browsers can sign in with a password. This waits for the disk.
    pub(crate) fn check_password(&self) -> Result<bool, PasswordFileError> {
        self.password.as_ref().map_or(Ok(false), PasswordFile::is_set)
    }

    /// The same, as far as that can be told without waiting.
    pub(crate) fn has_password(&self) -> bool {
        self.stamp().is_some()
    }

    /// A new one-time token.
    pub(crate) fn issue_link(&self, now: Instant) -> Secret {
        let token = Secret::generate();
        self.doors().add_link(token.digest(), now);
        token
    }

    /// Spends a one-time token for a new session.
    pub(crate) fn redeem_link(&self, token: &str, now: Instant) -> Option<Secret> {
        let digest = SecretDigest::of(token);
        let mut doors = self.doors();
        doors.take_link(&digest, now).then(|| {
            let session = Secret::generate();
            doors.add_session(session.digest(), now);
            session
        })
    }

    /// Opens a session for who knows the password.
    pub(crate) async fn sign_in(
        &self,
        password: Password,
        peer: Option<IpAddr>,
        now: Instant,
    ) -> Result<Secret, SignInError> {
        let place = self.attempts.place(peer).map_err(SignInError::Full)?;
        if let Some(peer) = peer {
            self.attempts.count(peer, now).map_err(SignInError::TooMany)?;
        }
        let file = self.password.clone().ok_or(SignInError::Wrong)?;
        let comparison = place.turn().await.map_err(SignInError::Full)?;
        let before = file.stamp();
        let compared = tokio::task::spawn_blocking(move || {
            let _comparison = comparison;
            file.is(&password)
        });
        match compared.await {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) => return Err(SignInError::Wrong),
            Ok(Err(error)) => return Err(SignInError::File(error)),
            Err(_) => return Err(SignInError::Ending),
        }
        let mut doors = self.doors();
        // It was changed while the old one was compared.
        if self.stamp() != before {
            return Err(SignInError::Wrong);
        }
        if let Some(peer) = peer {
            self.attempts.forgive(peer);
        }
        let session = Secret::generate();
        doors.add_session(session.digest(), now);
        Ok(session)
    }

    /// Ends the session of the browser that sent these headers.
    pub(crate) fn sign_out(&self, headers: &HeaderMap, cookie: &SessionCookie) {
        let mut doors = self.doors();
        for value in cookie.values(headers) {
            doors.end_session(&SecretDigest::of(value));
        }
    }

    /// Whoever sent these headers, and how long they may stay.
    pub(crate) fn authenticate(
        &self,
        headers: &HeaderMap,
        cookie: &SessionCookie,
        now: Instant,
    ) -> Result<(Principal, Stay), RuntimeError> {
        if let Some(value) = headers.get(header::AUTHORIZATION) {
            let token = value.to_str().ok().and_then(bearer_token);
            let valid = token.is_some_and(|token| SecretDigest::of(token).matches(&self.access));
            return if valid {
                Ok((Principal::Bearer, Stay(None)))
            } else {
                Err(unauthorized("the bearer token is not the one of this Backend"))
            };
        }
        let mut doors = self.doors();
        let session = cookie
            .values(headers)
            .find_map(|value| doors.use_session(&SecretDigest::of(value), now));
        match session {
            Some(over) => Ok((Principal::Session, Stay(Some(over)))),
            None if self.has_password() => Err(unauthorized("sign in with the password")),
            None => Err(unauthorized("run `yoi url` for a link that signs this browser in")),
        }
    }

    /// Ends sessions whose time is over, or whose password is the old one, also where they ask nothing. It never
    /// returns.
    pub(crate) async fn watch(&self) {
        loop {
            tokio::time::sleep(LOOK_AGAIN).await;
            self.doors().forget_expired(Instant::now());
        }
    }

    fn stamp(&self) -> Option<FileStamp> {
        self.password.as_ref().and_then(PasswordFile::stamp)
    }

    /// The doors, with no session from before the password was changed.
    fn doors(&self) -> MutexGuard<'_, Doors> {
        // Nothing in `Doors` is half-done between two of its steps.
        let mut doors = self.doors.lock().unwrap_or_else(PoisonError::into_inner);
        doors.keep_under(self.stamp());
        doors
    }
}

fn unauthorized(reason: &str) -> RuntimeError {
    RuntimeError::Unauthorized { reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cookie() -> SessionCookie {
        SessionCookie::new(8900, false)
    }

    fn who(auth: &Auth, headers: &HeaderMap) -> Option<Principal> {
        let found = auth.authenticate(headers, &cookie(), Instant::now());
        found.ok().map(|(principal, _)| principal)
    }

    fn headers(name: header::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().expect("a header value"))])
    }

    #[test]
    fn no_secret_shows_in_debug() {
        let access = AccessToken::generate();
        let auth = Auth::new(&access);
        let link = auth.issue_link(Instant::now());
        let shown = format!("{access:?} {auth:?}");
        assert!(shown.contains("***"));
        assert!(!shown.contains(access.reveal()) && !shown.contains(link.reveal()));
        let digest = serde_json::to_string(&access.0.digest()).expect("text");
        assert!(!shown.contains(digest.trim_matches('"')), "not even as a digest");
    }

    #[test]
    fn a_secret_is_256_bits_and_never_twice_the_same() {
        let (one, two) = (AccessToken::generate(), AccessToken::generate());
        assert_eq!(one.reveal().len(), 64);
        assert!(one.reveal().bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert_ne!(one.reveal(), two.reveal());
    }

    #[test]
    fn the_bearer_of_the_access_token_is_let_in_and_no_other() {
        let access = AccessToken::generate();
        let auth = Auth::new(&access);
        let good = access.reveal();
        for value in [format!("Bearer {good}"), format!("bearer {good}")] {
            let headers = headers(header::AUTHORIZATION, &value);
            assert_eq!(who(&auth, &headers), Some(Principal::Bearer));
        }
        for value in ["", "Bearer", "Bearer ", "Bearer x", &format!("Basic {good}"), good] {
            let headers = headers(header::AUTHORIZATION, value);
            assert_eq!(who(&auth, &headers), None, "{value:?}");
        }
    }

    #[test]
    fn a_session_is_found_among_other_cookies() {
        let auth = Auth::new(&AccessToken::generate());
        let now = Instant::now();
        let link = auth.issue_link(now);
        let session = auth.redeem_link(link.reveal(), now).expect("a fresh link");
        let value = format!("yoi_session_8900=stale; yoi_session_8900={}; c", session.reveal());
        let sent = |value: &str| who(&auth, &headers(header::COOKIE, value));
        assert_eq!(sent(&value), Some(Principal::Session));
        let forged = SecretDigest::of(session.reveal());
        let digest = serde_json::to_string(&forged).expect("text");
        for value in ["", "x", link.reveal(), digest.trim_matches('"'), &session.reveal()[1..]] {
            assert_eq!(sent(&format!("yoi_session_8900={value}")), None, "{value:?}");
        }
    }

    #[test]
    fn a_wrong_bearer_token_is_not_mended_by_a_good_cookie() {
        let auth = Auth::new(&AccessToken::generate());
        let now = Instant::now();
        let session = auth.redeem_link(auth.issue_link(now).reveal(), now).expect("a fresh link");
        let mut both = headers(header::AUTHORIZATION, "Bearer wrong");
        let cookie = format!("yoi_session_8900={}", session.reveal());
        both.insert(header::COOKIE, cookie.parse().expect("a header value"));
        assert_eq!(who(&auth, &both), None);
    }
}
