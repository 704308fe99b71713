//! Whether a request was meant for this server.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use http::{HeaderMap, header, uri::Authority};
use worker_types::HostName;

use crate::{Problem, ServeOptions};

/// The ports that a `Host` without one means.
const HTTP_PORT: u16 = 80;
const HTTPS_PORT: u16 = 443;

/// The address that a server is served on, and what else it is called by.
#[derive(Debug, Clone)]
pub struct OwnAddress {
    address: SocketAddr,
    default_port: u16,
    names: Arc<[HostName]>,
}

impl OwnAddress {
    /// This one, served so.
    #[must_use]
    pub fn new(address: SocketAddr, options: &ServeOptions) -> Self {
        let default_port = if options.tls.is_some() { HTTPS_PORT } else { HTTP_PORT };
        Self { address, default_port, names: options.names.clone().into() }
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Whether other machines reach it.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.address.ip().is_loopback()
    }

    /// Whether `host`, a `Host` header, is one of the names that the server was given, with whatever port.
    #[must_use]
    pub fn is_given_name(&self, host: &str) -> bool {
        let Ok(authority) = host.parse::<Authority>() else { return false };
        !host.contains('@')
            && authority.host().parse::<HostName>().is_ok_and(|name| self.names.contains(&name))
    }

    /// Whether `host` names this server. A DNS name that nobody gave it never does, whatever it resolves
    /// to: a page of that name could otherwise read the API (DNS rebinding).
    fn is_named_by(&self, host: &str) -> bool {
        if self.is_given_name(host) {
            // What stands before the server may have another port.
            return true;
        }
        let Ok(authority) = host.parse::<Authority>() else { return false };
        if host.contains('@') {
            return false;
        }
        let name = authority.host();
        if authority.port_u16().unwrap_or(self.default_port) != self.address.port() {
            return false;
        }
        let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
        name.eq_ignore_ascii_case("localhost")
            || bare.parse::<IpAddr>().is_ok_and(|ip| self.is_reached_by(ip))
    }

    /// Fails where the headers, or the address in the request line, name another server.
    ///
    /// # Errors
    ///
    /// `Forbidden`.
    pub fn check(&self, headers: &HeaderMap, target: Option<&Authority>) -> Result<(), Problem> {
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

    /// An address cannot be made to lead elsewhere, as a name can. Which ones a server has that listens on
    /// all of them, it does not know.
    fn is_reached_by(&self, ip: IpAddr) -> bool {
        let own = self.address.ip();
        ip == IpAddr::from([127, 0, 0, 1])
            || ip == IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])
            || (!ip.is_unspecified() && (own.is_unspecified() || ip == own))
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn on(address: ([u8; 4], u16)) -> OwnAddress {
        OwnAddress::new(address.into(), &ServeOptions::default())
    }

    #[test]
    fn only_loopback_names_with_the_own_port_are_own_hosts() {
        let own = on(([127, 0, 0, 1], 8080));
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
        assert!(on(([127, 0, 0, 1], 80)).is_named_by("localhost"));
    }

    #[test]
    fn a_server_on_all_addresses_is_called_by_any_and_by_the_names_it_was_given() {
        let names = ["far.example", "2001:db8::7"].map(|name| name.parse().expect("a name"));
        let options = ServeOptions { names: names.into(), ..ServeOptions::default() };
        let own = OwnAddress::new(([0, 0, 0, 0], 8443).into(), &options);
        assert!(own.is_given_name("far.example:1") && !own.is_given_name("192.0.2.1:8443"));
        assert!(!own.is_given_name("user@far.example") && !own.is_given_name("localhost"));
        for host in [
            "192.0.2.1:8443",
            "[2001:db8::1]:8443",
            "far.example",
            "FAR.example:443",
            "far.example:8443",
            "[2001:db8::7]:1",
        ] {
            assert!(own.is_named_by(host), "{host}");
        }
        for host in [
            "192.0.2.1:8444",
            "0.0.0.0:8443",
            "near.example:8443",
            "far.example.evil:8443",
            "x.far.example:8443",
            "user@far.example",
        ] {
            assert!(!own.is_named_by(host), "{host}");
        }
    }

    #[test]
    fn a_request_with_two_hosts_or_none_is_refused() {
        let own = on(([127, 0, 0, 1], 8080));
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
