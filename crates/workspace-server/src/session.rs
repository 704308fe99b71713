//! One-time links and the browser sessions that they, or a password, open: bounded lists of digests.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use http_api::{FileStamp, SecretDigest};
use tokio_util::sync::CancellationToken;

/// How long a link waits for its one use: time to change from the terminal to the browser.
const LINK_LIFETIME: Duration = Duration::from_secs(600);

/// Links that wait at once. A person uses one; the rest is room for links that were never used.
const MOST_LINKS: usize = 16;

/// Sessions at once. A person has a few browsers; every sign-in of each adds one.
const MOST_SESSIONS: usize = 64;

/// How long a session lasts in any case: a person signs in once a week.
const SESSION_LIFETIME: Duration = Duration::from_secs(7 * 86_400);

/// How long a session lasts that asks nothing: over night, and not over the weekend.
const IDLE_LIFETIME: Duration = Duration::from_secs(86_400);

/// The ways into the Backend for browsers. A full list makes room by forgetting its oldest.
#[derive(Debug, Default)]
pub(crate) struct Doors {
    links: VecDeque<Link>,
    sessions: VecDeque<Session>,
    /// The password that there was when the sessions began.
    under: Option<FileStamp>,
}

#[derive(Debug)]
struct Link {
    token: SecretDigest,
    expires_at: Instant,
}

#[derive(Debug)]
struct Session {
    secret: SecretDigest,
    opened_at: Instant,
    used_at: Instant,
    /// Cancelled when it is over: what it holds open ends.
    over: CancellationToken,
}

impl Session {
    fn is_expired(&self, now: Instant) -> bool {
        now >= self.opened_at + SESSION_LIFETIME || now >= self.used_at + IDLE_LIFETIME
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.over.cancel();
    }
}

impl Doors {
    pub(crate) fn add_link(&mut self, token: SecretDigest, now: Instant) {
        self.forget_expired(now);
        if self.links.len() == MOST_LINKS {
            self.links.pop_front();
        }
        self.links.push_back(Link { token, expires_at: now + LINK_LIFETIME });
    }

    /// Uses up the link with this token; false if there is none.
    pub(crate) fn take_link(&mut self, token: &SecretDigest, now: Instant) -> bool {
        self.forget_expired(now);
        match self.links.iter().position(|link| link.token.matches(token)) {
            Some(place) => self.links.remove(place).is_some(),
            None => false,
        }
    }

    pub(crate) fn add_session(&mut self, secret: SecretDigest, now: Instant) {
        self.forget_expired(now);
        if self.sessions.len() == MOST_SESSIONS {
            self.sessions.pop_front();
        }
        let over = CancellationToken::new();
        self.sessions.push_back(Session { secret, opened_at: now, used_at: now, over });
    }

    /// Notes a use of the session with this secret; what is cancelled when it is over. Nothing if there is none.
    pub(crate) fn use_session(
        &mut self,
        secret: &SecretDigest,
        now: Instant,
    ) -> Option<CancellationToken> {
        let found = self.sessions.iter_mut().find(|session| session.secret.matches(secret))?;
        if found.is_expired(now) {
            return None;
        }
        found.used_at = now;
        Some(found.over.clone())
    }

    /// Ends the session with this secret, if there is one.
    pub(crate) fn end_session(&mut self, secret: &SecretDigest) {
        self.sessions.retain(|session| !session.secret.matches(secret));
    }

    /// Ends all sessions if the password is another one than when they began.
    pub(crate) fn keep_under(&mut self, password: Option<FileStamp>) {
        if self.under != password {
            self.sessions.clear();
            self.under = password;
        }
    }

    /// Ends the sessions and links whose time is over.
    pub(crate) fn forget_expired(&mut self, now: Instant) {
        self.links.retain(|link| now < link.expires_at);
        self.sessions.retain(|session| !session.is_expired(now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(number: usize) -> SecretDigest {
        SecretDigest::of(&number.to_string())
    }

    #[test]
    fn a_link_works_once_and_only_in_time() {
        let now = Instant::now();
        let mut doors = Doors::default();
        doors.add_link(digest(1), now);
        doors.add_link(digest(2), now);
        assert!(!doors.take_link(&digest(3), now), "never issued");
        assert!(doors.take_link(&digest(1), now));
        assert!(!doors.take_link(&digest(1), now), "used");
        assert!(!doors.take_link(&digest(2), now + LINK_LIFETIME), "expired");
    }

    #[test]
    fn a_full_list_forgets_its_oldest() {
        let now = Instant::now();
        let mut doors = Doors::default();
        for number in 0..=MOST_LINKS {
            doors.add_link(digest(number), now);
        }
        assert!(!doors.take_link(&digest(0), now));
        assert!(doors.take_link(&digest(1), now));
        doors.add_session(digest(0), now);
        let first = doors.use_session(&digest(0), now).expect("a session");
        for number in 1..=MOST_SESSIONS {
            doors.add_session(digest(number), now);
        }
        assert!(first.is_cancelled() && doors.use_session(&digest(0), now).is_none());
        assert!(doors.use_session(&digest(1), now).is_some());
        assert!(doors.use_session(&digest(MOST_SESSIONS), now).is_some());
    }

    #[test]
    fn a_session_ends_when_it_is_not_used_and_after_a_week_all_the_same() {
        let begun = Instant::now();
        let mut doors = Doors::default();
        let second = Duration::from_secs(1);
        doors.add_session(digest(1), begun);
        assert!(doors.use_session(&digest(1), begun + IDLE_LIFETIME).is_none(), "not used");

        let mut now = begun;
        doors.add_session(digest(2), begun);
        while now + IDLE_LIFETIME - second < begun + SESSION_LIFETIME {
            now += IDLE_LIFETIME - second;
            assert!(doors.use_session(&digest(2), now).is_some(), "{:?}", now - begun);
        }
        let over = doors.use_session(&digest(2), now).expect("still there");
        assert!(doors.use_session(&digest(2), begun + SESSION_LIFETIME).is_none());
        doors.forget_expired(begun + SESSION_LIFETIME);
        assert!(over.is_cancelled(), "what it held open ends");
        assert!(doors.sessions.is_empty());
    }

    #[test]
    fn a_session_that_is_ended_is_over_and_the_others_go_on() {
        let now = Instant::now();
        let mut doors = Doors::default();
        doors.add_session(digest(1), now);
        doors.add_session(digest(2), now);
        let over = doors.use_session(&digest(1), now).expect("a session");
        doors.end_session(&digest(1));
        assert!(over.is_cancelled() && doors.use_session(&digest(1), now).is_none());
        assert!(doors.use_session(&digest(2), now).is_some());
    }
}
