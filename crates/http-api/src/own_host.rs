//! Whether a request was meant for this server.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, header, uri::Authority};

use crate::Problem;

/// The port that a `Host` without one means.
const HTTP_PORT: u16 = 80;

/// The address that a server is served on.
#[derive(Debug, Clone, Copy)]
pub struct OwnAddress(SocketAddr);

impl OwnAddress {
    /// This one.
    #[must_use]
    pub const fn new(address: SocketAddr) -> Self {
        Self(address)
    }

    /// Its port.
    #[must_use]
    pub fn port(self) -> u16 {
        self.0.port()
    }

    /// Whether `host` names this server. A DNS name never does, whatever it resolves to: a page of
    /// that name could otherwise read the API (DNS rebinding).
    fn is_named_by(self, host: &str) -> bool {
        let Ok(authority) = host.parse::<Authority>() else { return false };
        if host.contains('@') || authority.port_u16().unwrap_or(HTTP_PORT) != self.0.port() {
            return false;
        }
        let name = authority.host();
        let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
        name.eq_ignore_ascii_case("localhost")
            || bare.parse::<IpAddr>().is_ok_and(|ip| self.is_reached_by(ip))
    }

    /// Fails where the headers, or the address in the request line, name another server.
    ///
    /// # Errors
    ///
    /// `Forbidden`.
    pub fn check(self, headers: &HeaderMap, target: Option<&Authority>) -> Result<(), Problem> {
        let mut hosts = headers.get_all(header::HOST).iter();
        let host = hosts.next().and_then(|host| host.to_str().ok());
        let is_own = host.is_some_and(|host| self.is_named_by(host))
            && hosts.next().is_none()
            && target.is_none_or(|target| self.is_named_by(target.as_str()));
        if is_own {
            Ok(())
        } else {
            Err(Problem::forbidden("the Host header names another server than this one"))
        }
    }

    fn is_reached_by(self, ip: IpAddr) -> bool {
        ip == IpAddr::from([127, 0, 0, 1])
            || ip == IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])
            || ip == self.0.ip()
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn only_loopback_names_with_the_own_port_are_own_hosts() {
        let own = OwnAddress::new(([127, 0, 0, 1], 8080).into());
        for host in ["127.0.0.1:8080", "localhost:8080", "LOCALHOST:8080", "[::1]:8080"] {
            assert!(own.is_named_by(host), "{host}");
        }
        for host in [
            "",
            ":8080",
            "127.0.0.1",
            "127.0.0.1:8081",
            "127.0.0.1:08080x",
            "127.0.0.2:8080",
            "localhost",
            "localhost.:8080",
            "localhost.evil.example:8080",
            "evil.example:8080",
            "user@127.0.0.1:8080",
            "::1:8080",
            "[::1]",
            "0.0.0.0:8080",
            "2130706433:8080",
            "127.0.0.1:8080/x",
        ] {
            assert!(!own.is_named_by(host), "{host:?}");
        }
    }

    #[test]
    fn a_host_without_a_port_means_port_80() {
        assert!(OwnAddress::new(([127, 0, 0, 1], 80).into()).is_named_by("localhost"));
    }

    #[test]
    fn a_request_with_two_hosts_or_none_is_refused() {
        let own = OwnAddress::new(([127, 0, 0, 1], 8080).into());
        let good = HeaderValue::from_static("127.0.0.1:8080");
        let mut headers = HeaderMap::new();
        assert!(own.check(&headers, None).is_err());
        headers.append(header::HOST, good.clone());
        assert!(own.check(&headers, None).is_ok());
        let foreign = Authority::from_static("evil.example:8080");
        assert!(own.check(&headers, Some(&foreign)).is_err());
        headers.append(header::HOST, good);
        assert!(own.check(&headers, None).is_err());
    }
}
