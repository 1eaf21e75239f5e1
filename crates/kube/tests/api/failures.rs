//! What does not work, and why.

use std::error::Error as _;
use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portgate_core::causes;
use portgate_double::{Authentication, Config, Failure, Fault, Kubeconfig, Requests, Resource, Verb};
use portgate_kube::access;
use portgate_kube::access::Access;
use portgate_kube::api::Api;
use portgate_kube::error::{self, ClientFault, Error, ServerFault};
use portgate_kube::settings::Settings;
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, KeyPair, date_time_ymd};
use tokio::net::TcpListener;

use crate::lab::{Lab, key, soon};

async fn failure(api: &Api) -> Error {
    soon(api.objects(&[key("svc/echo.backend")])).await.unwrap_err()
}

#[tokio::test]
async fn a_server_that_does_not_listen_cannot_be_reached() {
    let lab = Lab::recorded().await;
    lab.double.fault(Fault::RefuseConnections).await.unwrap();
    let error = failure(&lab.api().await).await;
    assert!(matches!(error, Error::Unreachable { .. }));
    let line = causes::line(&error);
    assert!(line.contains(lab.access().server()) && line.contains("context k3d-double"), "{line}");
    assert!(line.contains("Connection refused"), "{line}");
}

#[tokio::test]
async fn a_name_that_is_not_known_cannot_be_reached() {
    let lab = Lab::recorded().await;
    let server = Some("https://no-such-host.invalid:6443".to_owned());
    lab.write_kubeconfig(&Kubeconfig { server, ..Kubeconfig::default() }).await;
    let error = failure(&lab.api().await).await;
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
}

#[tokio::test]
async fn a_server_that_never_says_hello_cannot_be_reached() {
    let lab = Lab::recorded().await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = Some(format!("https://{}", silent.local_addr().unwrap()));
    lab.write_kubeconfig(&Kubeconfig { server, ..Kubeconfig::default() }).await;
    let error = failure(&lab.api().await).await;
    assert!(matches!(error, Error::Unreachable { .. }));
    assert!(causes::line(&error).ends_with("no answer within 5 s"), "{}", causes::line(&error));
}

#[tokio::test]
async fn a_certificate_is_refused_that_has_expired_or_is_of_another_server() {
    let certificate = async |config: Config, server: Option<&str>| {
        let lab = Lab::with(config).await;
        if let Some(host) = server {
            let server = Some(format!("https://{host}:{}", lab.double.address().port()));
            lab.write_kubeconfig(&Kubeconfig { server, ..Kubeconfig::default() }).await;
        }
        match failure(&lab.api().await).await {
            Error::ServerCertificate { fault, .. } => fault,
            error => panic!("{error:?}"),
        }
    };
    let expired = Config { expired: true, ..Config::default() };
    assert_eq!(certificate(expired, None).await, ServerFault::Expired);
    let other = Config { names: vec!["kubernetes".to_owned()], ..Config::default() };
    assert_eq!(certificate(other, Some("127.0.0.1")).await, ServerFault::WrongName);
}

#[tokio::test]
async fn a_server_that_the_kubeconfig_does_not_know_is_not_trusted() {
    let (lab, other) = (Lab::recorded().await, Lab::recorded().await);
    let server = Some(format!("https://{}", other.double.address()));
    lab.write_kubeconfig(&Kubeconfig { server, ..Kubeconfig::default() }).await;
    let error = failure(&lab.api().await).await;
    assert!(matches!(error, Error::ServerCertificate { fault: ServerFault::NotTrusted, .. }), "{error:?}");
}

/// A client certificate and its key, which was good in the year 2020.
fn of_2020() -> (String, String) {
    let mut parameters = CertificateParams::default();
    parameters.not_before = date_time_ymd(2020, 1, 1);
    parameters.not_after = date_time_ymd(2020, 12, 31);
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate().unwrap();
    (parameters.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

#[tokio::test]
async fn credentials_that_are_not_accepted_may_be_a_certificate_that_has_expired() {
    let authentication = Authentication { certificate: false, token: Some("one".to_owned()), anonymous: false };
    let lab = Lab::with(Config { authentication, ..Config::default() }).await;
    let text = fs::read_to_string(lab.file("config")).unwrap();
    let (certificate, key) = of_2020();
    let (certificate, key) = (STANDARD.encode(certificate), STANDARD.encode(key));
    let own = format!("client-certificate-data: {certificate}\n    client-key-data: {key}");
    fs::write(lab.file("config"), text.replace("token: \"one\"", &own)).unwrap();
    let error = failure(&lab.api().await).await;
    assert!(matches!(error, Error::ClientCertificate { fault: ClientFault::Expired, .. }), "{error:?}");
    assert!(error.hint().unwrap().contains("k3d kubeconfig merge double"));

    fs::write(lab.file("config"), text.replace("one", "two")).unwrap();
    assert!(matches!(failure(&lab.api().await).await, Error::Unauthorized { .. }));
}

#[tokio::test]
async fn each_refusal_is_a_case_of_its_own() {
    let lab = Lab::recorded().await;
    let api = lab.api().await;
    let refusal = async |failure: Failure| {
        let requests = Requests::to(Verb::List, Resource::Services);
        lab.double.fault(Fault::Answer { requests, failure, times: None }).await.unwrap();
        let error = self::failure(&api).await;
        lab.double.fault(Fault::Mend).await.unwrap();
        error
    };
    assert!(matches!(refusal(Failure::Unauthorized).await, Error::Unauthorized { .. }));
    assert!(matches!(refusal(Failure::Forbidden).await, Error::Forbidden { .. }));
    assert!(matches!(refusal(Failure::NotFound).await, Error::NotFound { .. }));
    assert!(matches!(refusal(Failure::TooManyRequests).await, Error::TooManyRequests { .. }));
    assert!(matches!(refusal(Failure::InternalError).await, Error::Server { code: 500, .. }));
    assert!(matches!(refusal(Failure::Unavailable).await, Error::Server { code: 503, .. }));
}

#[tokio::test]
async fn what_is_forbidden_is_named_with_verb_resource_and_namespace() {
    let lab = Lab::recorded().await;
    let requests = Requests::to(Verb::List, Resource::EndpointSlices);
    lab.double.fault(Fault::Forbid { requests }).await.unwrap();
    let api = lab.api().await;
    let Error::Forbidden { call } = failure(&api).await else { panic!("forbidden") };
    assert_eq!((call.verb, call.namespace.as_deref()), (error::Verb::List, Some("backend")));
    assert_eq!(call.resource.unwrap().to_string(), "endpointslices.discovery.k8s.io");
    let hint = failure(&api).await.hint().unwrap();
    assert!(hint.contains("--resource=endpointslices.discovery.k8s.io -n backend"), "{hint}");
    let everywhere = api.services(None, None).await.unwrap_err();
    assert!(everywhere.to_string().contains("list endpointslices.discovery.k8s.io in all namespaces"), "{everywhere}");
}

#[tokio::test]
async fn a_context_that_there_is_not_is_refused_with_those_that_there_are() {
    let lab = Lab::recorded().await;
    let settings = Settings { context: Some("k3d-duoble".to_owned()), ..lab.settings() };
    let error = Access::of_user(&settings).unwrap_err();
    assert!(matches!(&error, access::Error::UnknownContext { known, .. } if *known == ["k3d-double"]));
    assert!(error.hint().unwrap().starts_with("did you mean k3d-double?"));
    assert!(error.source().is_none());
}
