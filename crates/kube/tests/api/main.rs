//! Portgate's eyes for Kubernetes, before a server that speaks the API over TLS.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod access;
mod failures;
mod hostile;
mod lab;
mod looks;
mod outages;
mod rights;
mod watches;
