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
        let outcome = verifier.verify_client_cert(&self.own, &self.others, now);
        matches!(
            outcome,
            Err(rustls::Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }))
        )
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rcgen::{CertificateParams, KeyPair, date_time_ymd};
    use rustls::pki_types::PrivateKeyDer;

    use super::*;

    const YEAR: Duration = Duration::from_hours(365 * 24);

    /// The certificate of 2020 in a client's configuration.
    fn of_2020() -> ClientConfig {
        let mut parameters = CertificateParams::default();
        parameters.not_before = date_time_ymd(2020, 1, 1);
        parameters.not_after = date_time_ymd(2020, 12, 31);
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.self_signed(&key).unwrap().der().clone();
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let tls = ClientConfig::builder().with_root_certificates(RootCertStore::empty());
        tls.with_client_auth_cert(vec![certificate], key).unwrap()
    }

    fn years_after_1970(years: u32) -> UnixTime {
        UnixTime::since_unix_epoch(YEAR * years)
    }

    #[test]
    fn a_certificate_has_expired_after_its_last_day() {
        let certificate = Certificate::of(&of_2020()).unwrap();
        assert!(!certificate.has_expired(years_after_1970(49)));
        assert!(!certificate.has_expired(UnixTime::since_unix_epoch(YEAR * 50 + YEAR / 2)));
        assert!(certificate.has_expired(years_after_1970(52)));
    }

    #[test]
    fn whoever_shows_no_certificate_has_none() {
        let tls = ClientConfig::builder().with_root_certificates(RootCertStore::empty()).with_no_client_auth();
        assert!(Certificate::of(&tls).is_none());
    }
}
