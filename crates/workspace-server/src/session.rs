//! One-time links and the browser sessions they open: bounded lists of digests.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use http_api::SecretDigest;

/// How long a link waits for its one use: time to change from the terminal to the browser.
const LINK_LIFETIME: Duration = Duration::from_secs(600);

/// Links that wait at once. A person uses one; the rest is room for links that were never used.
const MOST_LINKS: usize = 16;

/// Sessions at once. A person has a few browsers; every sign-in of each adds one.
const MOST_SESSIONS: usize = 64;

/// The ways into the Backend for browsers. A full list makes room by forgetting its oldest.
#[derive(Debug, Default)]
pub(crate) struct Doors {
    links: VecDeque<Link>,
    sessions: VecDeque<SecretDigest>,
}

#[derive(Debug)]
struct Link {
    token: SecretDigest,
    expires_at: Instant,
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

    pub(crate) fn add_session(&mut self, session: SecretDigest) {
        if self.sessions.len() == MOST_SESSIONS {
            self.sessions.pop_front();
        }
        self.sessions.push_back(session);
    }

    pub(crate) fn has_session(&self, session: &SecretDigest) -> bool {
        self.sessions.iter().any(|known| known.matches(session))
    }

    fn forget_expired(&mut self, now: Instant) {
        self.links.retain(|link| now < link.expires_at);
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
        for number in 0..=MOST_SESSIONS {
            doors.add_session(digest(number));
        }
        assert!(!doors.has_session(&digest(0)));
        assert!(doors.has_session(&digest(1)) && doors.has_session(&digest(MOST_SESSIONS)));
    }
}
