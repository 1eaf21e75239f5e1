//! The client's own certificate.

use std::sync::Arc;

use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::{CertificateError, ClientConfig, RootCertStore};

/// A certificate and those that lead from it towards its authority.
pub(crate) struct Certificate {
    own: CertificateDer<'static>,
    others: Vec<CertificateDer<'static>>,
}

impl Certificate {
    /// The one that would be shown to a server; none if the credentials are of another kind.
    pub(crate) fn of(tls: &ClientConfig) -> Option<Self> {
        let schemes = tls.crypto_provider().signature_verification_algorithms.supported_schemes();
        let key = tls.client_auth_cert_resolver.resolve(&[], &schemes)?;
        let (own, others) = key.cert.split_first()?;
        Some(Self { own: own.clone(), others: others.to_vec() })
    }

    /// Whether it is too old at this time. An API server only says that it does not accept it, so this is looked up
    /// here. Who signed it does not matter; its times are checked before.
    pub(crate) fn has_expired(&self, now: UnixTime) -> bool {
        let mut roots = RootCertStore::empty();
        if roots.add(self.own.clone()).is_err() {
            return false;
        }
        let Ok(verifier) = WebPkiClientVerifier::builder(Arc::new(roots)).build() else { return false };
        let verified = verifier.verify_client_cert(&self.own, &self.others, now);
        matches!(
            verified,
            Err(rustls::Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }))
        )
    }
}
