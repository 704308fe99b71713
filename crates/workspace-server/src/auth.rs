//! Who may talk to the Backend: the bearer of the access token, and browsers that a one-time link
//! let in.

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use http::{HeaderMap, header};
use http_api::{Problem, Secret, SecretDigest, bearer_token};
use worker_types::RuntimeError;

use crate::session::Doors;

/// How the names of cookies with a browser's session begin; the Backend's port follows.
pub(crate) const SESSION_COOKIE: &str = "yoi_session";

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

/// The credentials the Backend accepts. Only digests of them are here.
#[derive(Debug)]
pub(crate) struct Auth {
    access: SecretDigest,
    doors: Mutex<Doors>,
}

impl Auth {
    pub(crate) fn new(access: &AccessToken) -> Self {
        Self { access: access.0.digest(), doors: Mutex::default() }
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
            doors.add_session(session.digest());
            session
        })
    }

    /// Whoever sent these headers.
    pub(crate) fn authenticate(&self, headers: &HeaderMap) -> Result<Principal, RuntimeError> {
        if let Some(value) = headers.get(header::AUTHORIZATION) {
            let token = value.to_str().ok().and_then(bearer_token);
            let valid = token.is_some_and(|token| SecretDigest::of(token).matches(&self.access));
            return if valid {
                Ok(Principal::Bearer)
            } else {
                Err(unauthorized("the bearer token is not the one of this Backend"))
            };
        }
        let doors = self.doors();
        if session_cookies(headers).any(|cookie| doors.has_session(&SecretDigest::of(cookie))) {
            Ok(Principal::Session)
        } else {
            Err(unauthorized("run `yoi url` for a link that signs this browser in"))
        }
    }

    fn doors(&self) -> MutexGuard<'_, Doors> {
        // Nothing in `Doors` is half-done between two of its steps.
        self.doors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unauthorized(reason: &str) -> RuntimeError {
    RuntimeError::Unauthorized { reason: reason.to_owned() }
}

fn session_cookies(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(name, _)| name.starts_with(SESSION_COOKIE))
        .map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

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
            assert_eq!(auth.authenticate(&headers), Ok(Principal::Bearer));
        }
        for value in ["", "Bearer", "Bearer ", "Bearer x", &format!("Basic {good}"), good] {
            let headers = headers(header::AUTHORIZATION, value);
            assert!(auth.authenticate(&headers).is_err(), "{value:?}");
        }
    }

    #[test]
    fn a_session_is_found_among_other_cookies() {
        let auth = Auth::new(&AccessToken::generate());
        let now = Instant::now();
        let link = auth.issue_link(now);
        let session = auth.redeem_link(link.reveal(), now).expect("a fresh link");
        let value = format!("a=b; yoi_session=stale; yoi_session={}; c", session.reveal());
        assert_eq!(auth.authenticate(&headers(header::COOKIE, &value)), Ok(Principal::Session));
        for value in ["", "yoi_session", "yoi_session=", "yoi_session=x", "xyoi_session=1"] {
            assert!(auth.authenticate(&headers(header::COOKIE, value)).is_err(), "{value:?}");
        }
        let link = format!("yoi_session={}", link.reveal());
        assert!(auth.authenticate(&headers(header::COOKIE, &link)).is_err());
    }

    #[test]
    fn a_wrong_bearer_token_is_not_mended_by_a_good_cookie() {
        let auth = Auth::new(&AccessToken::generate());
        let now = Instant::now();
        let session = auth.redeem_link(auth.issue_link(now).reveal(), now).expect("a fresh link");
        let mut both = headers(header::AUTHORIZATION, "Bearer wrong");
        let cookie = format!("yoi_session={}", session.reveal());
        both.insert(header::COOKIE, cookie.parse().expect("a header value"));
        assert!(auth.authenticate(&both).is_err());
    }
}
