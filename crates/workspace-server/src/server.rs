//! Where the Backend may serve: on addresses that only this machine reaches.

use std::{io, net::SocketAddr};

use tokio::net::TcpListener;

/// Why the Backend does not serve.
#[derive(Debug, thiserror::Error)]
pub enum BackendServeError {
    /// Other machines reach the address, and nothing is encrypted.
    #[error("the Backend serves on loopback addresses only, and {address} is none")]
    NotLoopback {
        /// The listener's address.
        address: SocketAddr,
    },
    /// The operating system does not say where the listener listens.
    #[error("failed to find out the listener's address")]
    LocalAddress {
        /// The cause.
        #[source]
        err: io::Error,
    },
}

/// The listener's address, if only this machine reaches it.
pub(crate) fn loopback_address(listener: &TcpListener) -> Result<SocketAddr, BackendServeError> {
    let address = listener.local_addr().map_err(|err| BackendServeError::LocalAddress { err })?;
    if address.ip().is_loopback() {
        Ok(address)
    } else {
        Err(BackendServeError::NotLoopback { address })
    }
}
