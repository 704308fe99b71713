//! Where the Backend may serve: where only this machine reaches it, or with TLS and a password.

use std::{io, net::SocketAddr};

use crate::PasswordFileError;

/// Why the Backend does not serve.
#[derive(Debug, thiserror::Error)]
pub enum BackendServeError {
    /// Other machines reach the address, and nothing is encrypted.
    #[error(
        "{address} can be reached from other machines, and nothing is encrypted: serve it with TLS, or on a loopback \
         address"
    )]
    NotLoopback {
        /// The listener's address.
        address: SocketAddr,
    },
    /// Other machines reach the address, and nobody could sign in there.
    #[error("{address} can be reached from other machines, and there is no password: set one")]
    NoPassword {
        /// The listener's address.
        address: SocketAddr,
    },
    /// It cannot be told what the password is.
    #[error("it cannot be told whether there is a password")]
    Password(#[source] PasswordFileError),
    /// The process ends before it was known whether the Backend may be served.
    #[error("the process ends before it serves")]
    Ending,
    /// The operating system does not say where the listener listens.
    #[error("failed to find out the listener's address")]
    LocalAddress {
        /// The cause.
        #[source]
        err: io::Error,
    },
}
