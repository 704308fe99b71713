//! TLS of a server, from files in PEM.

use std::{fmt, sync::Arc};

use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject as _},
    },
};
use sha2::{Digest as _, Sha256};
use tokio_rustls::TlsAcceptor;

use crate::secret::hex;

/// What a server proves with that it is who it says: its certificates, and the key to the first.
#[derive(Clone)]
pub struct ServerTls {
    acceptor: TlsAcceptor,
    fingerprint: Arc<str>,
}

/// What a certificate is recognised by: the SHA-256 of it (as DER), in hexadecimal.
#[must_use]
pub fn fingerprint(certificate: &[u8]) -> String {
    hex(&Sha256::digest(certificate))
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerTls(***)")
    }
}

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidTls {
    /// The first file has no certificate.
    #[error(
        "the file of the certificate has none in PEM (`-----BEGIN CERTIFICATE-----`): one in DER becomes PEM with \
         `openssl x509 -inform der`, and the key belongs into the other file"
    )]
    NoCertificate,
    /// The first file has something broken.
    #[error(
        "the file of the certificate is broken: each certificate has to be there whole, from `-----BEGIN \
         CERTIFICATE-----` to `-----END CERTIFICATE-----`"
    )]
    Certificate(#[source] pem::Error),
    /// The second file has no key.
    #[error(
        "the file of the key has no private key in PEM that can be read (`-----BEGIN PRIVATE KEY-----`): \
         `openssl pkey` makes one of a key in another form, or with a passphrase"
    )]
    Key(#[source] pem::Error),
    /// They do not belong together.
    #[error(
        "the key is not that of the first certificate in its file, which has to be the server's own: `openssl x509 \
         -noout -pubkey` of the one and `openssl pkey -pubout` of the other have to say the same"
    )]
    OtherKey(#[source] rustls::Error),
    /// They are of a kind that TLS does not know.
    #[error(
        "the certificate and the key are of a kind that cannot be used: take an ECDSA key on the curve P-256, or RSA with \
         2048 bits or more, and a certificate of version 3"
    )]
    Unusable(#[source] rustls::Error),
}

impl ServerTls {
    /// A server with this chain of certificates, its own first, and this private key (PKCS #8, PKCS #1 or
    /// SEC 1), both as PEM. It speaks TLS 1.3 and 1.2.
    ///
    /// # Errors
    ///
    /// See [`InvalidTls`].
    pub fn from_pem(certificates: &[u8], key: &[u8]) -> Result<Self, InvalidTls> {
        let chain = CertificateDer::pem_slice_iter(certificates).collect::<Result<Vec<_>, _>>();
        let chain = chain.map_err(InvalidTls::Certificate)?;
        let fingerprint = fingerprint(chain.first().ok_or(InvalidTls::NoCertificate)?).into();
        let key = PrivateKeyDer::from_pem_slice(key).map_err(InvalidTls::Key)?;
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(InvalidTls::Unusable)?;
        let config = config.with_no_client_auth().with_single_cert(chain, key);
        let mut config = config.map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => InvalidTls::OtherKey(error),
            error => InvalidTls::Unusable(error),
        })?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), fingerprint })
    }

    /// The [`fingerprint`] of the server's own certificate.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    pub(crate) fn acceptor(&self) -> &TlsAcceptor {
        &self.acceptor
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertifiedKey, generate_simple_self_signed};

    use super::*;

    fn identity() -> (String, String) {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        (cert.pem(), signing_key.serialize_pem())
    }

    #[test]
    fn what_is_no_certificate_or_not_its_key_is_refused() {
        let ((certificate, key), (_, other_key)) = (identity(), identity());
        let read = |certificate: &str, key: &str| {
            ServerTls::from_pem(certificate.as_bytes(), key.as_bytes())
        };
        assert!(read(&certificate, &key).is_ok());
        assert!(matches!(read("", &key), Err(InvalidTls::NoCertificate)));
        assert!(matches!(read(&key, &key), Err(InvalidTls::NoCertificate)));
        let cut = &certificate[..certificate.len() / 2];
        assert!(matches!(read(cut, &key), Err(InvalidTls::Certificate(_))));
        assert!(matches!(read(&certificate, &certificate), Err(InvalidTls::Key(_))));
        assert!(matches!(read(&certificate, &other_key), Err(InvalidTls::OtherKey(_))));
        let nothing = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(matches!(read(nothing, &key), Err(InvalidTls::Unusable(_))));
    }

    #[test]
    fn every_refusal_says_what_to_do() {
        let ((certificate, key), (_, other_key)) = (identity(), identity());
        for (certificate, key, remedy) in [
            (&*key, &*key, "openssl x509 -inform der"),
            (&certificate[..certificate.len() / 2], &key, "whole"),
            (&certificate, "sesame", "openssl pkey"),
            (&certificate, &other_key, "openssl pkey -pubout"),
        ] {
            let refused = ServerTls::from_pem(certificate.as_bytes(), key.as_bytes());
            let said = refused.expect_err("it is none").to_string();
            assert!(said.contains(remedy), "{remedy}: {said}");
        }
    }

    #[test]
    fn the_key_is_in_no_debug_print() {
        let (certificate, key) = identity();
        let tls = ServerTls::from_pem(certificate.as_bytes(), key.as_bytes()).expect("TLS");
        assert_eq!(format!("{tls:?}"), "ServerTls(***)");
        let wrong = ServerTls::from_pem(certificate.as_bytes(), &key.as_bytes()[..200]);
        let shown = format!("{wrong:?}");
        assert!(!shown.contains(&key[40..80]), "{shown}");
    }
}
