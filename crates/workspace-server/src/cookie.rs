//! The cookie with a browser's session.

use std::sync::Arc;

use http::{HeaderMap, header};
use http_api::Secret;

/// How the cookie of a server is called, and what a browser may do with it.
#[derive(Debug, Clone)]
pub(crate) struct SessionCookie {
    name: Arc<str>,
    is_encrypted: bool,
}

impl SessionCookie {
    /// That of the server at this port.
    ///
    /// Browsers keep cookies of a host whatever the port: the name keeps two Backends apart. Where connections
    /// are encrypted, the prefix `__Host-` makes browsers take and send it on encrypted connections with this
    /// very host only, so neither a neighbour below the same domain nor plain HTTP can set one.
    pub(crate) fn new(port: u16, is_encrypted: bool) -> Self {
        let prefix = if is_encrypted { "__Host-" } else { "" };
        Self { name: format!("{prefix}yoi_session_{port}").into(), is_encrypted }
    }

    /// The `Set-Cookie` that gives a browser this session, for as long as it runs.
    pub(crate) fn set(&self, session: &Secret) -> String {
        self.written(session.reveal(), "")
    }

    /// The `Set-Cookie` that takes it away.
    pub(crate) fn cleared(&self) -> String {
        self.written("", "; Max-Age=0")
    }

    fn written(&self, value: &str, more: &str) -> String {
        let name = &self.name;
        let secure = if self.is_encrypted { "; Secure" } else { "" };
        format!("{name}={value}; HttpOnly{secure}; SameSite=Strict; Path=/{more}")
    }

    /// The values of it that came with a request.
    pub(crate) fn values<'a>(&self, headers: &'a HeaderMap) -> impl Iterator<Item = &'a str> {
        headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .filter(|(name, _)| *name == &*self.name)
            .map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(cookie: &SessionCookie, sent: &str) -> Vec<String> {
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, sent.parse().expect("a header value"));
        cookie.values(&headers).map(str::to_owned).collect()
    }

    #[test]
    fn a_cookie_is_found_among_others_and_never_another_servers() {
        let cookie = SessionCookie::new(8900, false);
        let sent = "a=b; yoi_session_8900=1; yoi_session_8901=2; yoi_session=3; yoi_session_8900=4";
        assert_eq!(found(&cookie, sent), ["1", "4"]);
        for other in ["", "yoi_session_8900", "xyoi_session_8900=1", "__Host-yoi_session_8900=1"] {
            assert!(found(&cookie, other).is_empty(), "{other}");
        }
        let encrypted = SessionCookie::new(8900, true);
        assert_eq!(found(&encrypted, "__Host-yoi_session_8900=1; yoi_session_8900=2"), ["1"]);
    }

    #[test]
    fn where_connections_are_encrypted_it_travels_on_no_other() {
        let session = Secret::generate();
        let plain = SessionCookie::new(8900, false).set(&session);
        assert!(plain.ends_with("; HttpOnly; SameSite=Strict; Path=/"), "{plain}");
        let encrypted = SessionCookie::new(8900, true);
        let set = encrypted.set(&session);
        assert!(set.starts_with("__Host-yoi_session_8900="), "{set}");
        assert!(set.ends_with("; HttpOnly; Secure; SameSite=Strict; Path=/"), "{set}");
        assert!(encrypted.cleared().ends_with("; Path=/; Max-Age=0"));
    }
}
