//! What each failure says, and what its hint is.

use std::fmt::Write as _;

use portgate_core::causes;
use rustls::{AlertDescription, CertificateError};

use super::*;
use crate::access::ContainerKubeconfig;
use crate::resource::By;

const KUBECONFIG: &str = "contexts: [{ name: c, context: { cluster: c, user: u } }]
clusters: [{ name: c, cluster: { server: 'https://127.0.0.1:6443', certificate-authority-data: YQ== } }]
current-context: c";

fn container() -> Arc<Access> {
    let kubeconfig = ContainerKubeconfig::read("k3d-my-server-0", KUBECONFIG).unwrap();
    Arc::new(Access::of_container(kubeconfig, "172.20.0.2:6443".parse().unwrap()))
}

fn context(name: &str) -> Arc<Access> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("config");
    std::fs::write(&file, KUBECONFIG.replace("name: c, context", &format!("name: {name}, context"))).unwrap();
    let settings =
        crate::settings::Settings { kubeconfig: Some(file), context: Some(name.to_owned()), ..Default::default() };
    Arc::new(Access::of_user(&settings).unwrap())
}

fn call(verb: Verb, resource: Resource, namespace: Option<&str>, access: &Arc<Access>) -> Call {
    let selection = Selection { resource, namespace: namespace.map(str::to_owned), by: By::All };
    Call::of(verb, &selection, access)
}

fn listing(access: &Arc<Access>) -> Call {
    call(Verb::List, Resource::Services, Some("shop"), access)
}

fn refused(code: u16, call: Call) -> Error {
    let status = Status::failure("as the server says", "").with_code(code);
    Error::of(call, kube::Error::Api(status.boxed()), None)
}

/// An error as hyper wraps it.
fn transport(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> kube::Error {
    kube::Error::Service(Box::new(io_error(io_error(error))))
}

fn io_error(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> std::io::Error {
    std::io::Error::other(error)
}

fn tls(error: rustls::Error) -> kube::Error {
    transport(error)
}

/// The text of an error and its hint, without the name of the throw-away directory.
fn told(error: &Error) -> String {
    let access = match error {
        Error::Unreachable { call, .. }
        | Error::ServerCertificate { call, .. }
        | Error::ClientCertificate { call, .. }
        | Error::Unauthorized { call }
        | Error::Forbidden { call }
        | Error::NotFound { call }
        | Error::TooManyRequests { call }
        | Error::Server { call, .. }
        | Error::TooMuch { call, .. }
        | Error::Other { call, .. } => &call.access,
        Error::Access(_) => unreachable!(),
    };
    let mut text = causes::line(error);
    if let Some(hint) = error.hint() {
        write!(text, "\n  hint: {hint}").unwrap();
    }
    if let access::Source::Context { file, .. } = access.source() {
        text = text.replace(&file.display().to_string(), "~/.kube/config");
    }
    text
}

#[test]
fn every_failure_says_what_failed_and_by_which_way() {
    let gone = || transport(std::io::Error::from(std::io::ErrorKind::ConnectionRefused));
    let expired = || tls(rustls::Error::InvalidCertificate(CertificateError::Expired));
    let untrusted = || tls(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer));
    let (k3d, kind, other) = (context("k3d-my"), context("kind-my"), context("prod"));
    let errors = [
        Error::of(listing(&k3d), gone(), None),
        Error::of(listing(&other), gone(), None),
        Error::late(listing(&container()), Duration::from_secs(10)),
        Error::of(listing(&k3d), expired(), None),
        Error::of(listing(&kind), untrusted(), None),
        Error::of(listing(&other), tls(rustls::Error::InvalidCertificate(CertificateError::NotValidForName)), None),
        Error::of(listing(&other), tls(rustls::Error::InvalidCertificate(CertificateError::NotValidYet)), None),
        Error::of(listing(&k3d), tls(rustls::Error::AlertReceived(AlertDescription::CertificateExpired)), None),
        Error::of(listing(&container()), tls(rustls::Error::AlertReceived(AlertDescription::BadCertificate)), None),
        refused(401, listing(&other)),
        refused(403, call(Verb::Watch, Resource::EndpointSlices, Some("shop"), &k3d)),
        refused(403, call(Verb::List, Resource::Services, None, &other)),
        refused(404, call(Verb::List, Resource::EndpointSlices, Some("shop"), &other)),
        refused(429, call(Verb::List, Resource::Nodes, None, &other)),
        refused(500, call(Verb::List, Resource::Namespaces, None, &other)),
        Error::too_much(listing(&k3d), portgate_core::limits::API_PAGE),
        Error::of(
            Call { verb: Verb::Get, resource: None, namespace: None, access: other },
            kube::Error::SerdeError(serde_json::from_str::<u8>("x").unwrap_err()),
            None,
        ),
    ];
    let told: Vec<String> = errors.iter().map(told).collect();
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn alerts_about_other_things_are_no_verdict_on_the_certificate() {
    let alert = tls(rustls::Error::AlertReceived(AlertDescription::HandshakeFailure));
    assert!(matches!(Error::of(listing(&container()), alert, None), Error::Unreachable { .. }));
}

#[test]
fn a_plugin_that_fails_during_a_request_is_named() {
    let start = kube::client::AuthError::AuthExecStart(std::io::ErrorKind::NotFound.into());
    let error = Error::of(listing(&container()), kube::Error::Service(Box::new(start)), Some("aws"));
    assert!(matches!(error, Error::Access(access::Error::PluginStart { plugin, .. }) if plugin == "aws"));
}

#[test]
fn only_a_server_that_has_forgotten_is_gone() {
    assert!(refused(410, listing(&container())).is_gone());
    assert!(!refused(409, listing(&container())).is_gone());
}

#[test]
fn an_error_is_small_enough_to_be_given_back_everywhere() {
    assert!(size_of::<Error>() <= 128, "{}", size_of::<Error>());
}
