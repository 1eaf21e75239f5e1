//! Who is let in, and what they may do.

use std::sync::Arc;

use portgate_double::{Authentication, Config, Double, Fault, Kubeconfig, Requests, Resource, Verb};
use serde_json::{Value, json};

use crate::client::Client;

async fn double(authentication: Authentication) -> Double {
    Double::start(Config { authentication, ..Config::default() }).await.unwrap()
}

#[tokio::test]
async fn nobody_is_let_in_without_credentials() {
    let double = double(Authentication { certificate: false, ..Authentication::default() }).await;
    let (code, status) = Client::of(&double).await.get("/api/v1/services").await;
    let expected = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": 401,
        "reason": "Unauthorized", "message": "Unauthorized",
    });
    assert_eq!((code, status), (401, expected));
    let open = Authentication { certificate: false, anonymous: true, ..Authentication::default() };
    let double = Double::start(Config { authentication: open, ..Config::default() }).await.unwrap();
    Client::of(&double).await.found("/api/v1/services").await;
}

#[tokio::test]
async fn the_certificate_of_another_authority_is_a_strangers() {
    let (first, second) = (double(Authentication::default()).await, double(Authentication::default()).await);
    let text = second.kubeconfig(&Kubeconfig::default()).await.unwrap();
    // The second one's client, which trusts the first one's authority.
    let trusted = first.kubeconfig(&Kubeconfig::default()).await.unwrap();
    let authority = |text: &str| text.lines().find(|line| line.contains("authority-data")).unwrap().to_owned();
    let stranger = Client::from_kubeconfig(&text.replace(&authority(&text), &authority(&trusted)));
    assert_eq!(stranger.at(first.address()).get("/version").await.0, 401);
    Client::of(&first).await.found("/version").await;
}

#[tokio::test]
async fn a_token_is_good_until_another_takes_its_place() {
    let token = Some("first".to_owned());
    let double = double(Authentication { certificate: false, token, ..Authentication::default() }).await;
    let mut client = Client::of(&double).await;
    assert_eq!(client.token.as_deref(), Some("first"));
    client.found("/api/v1/services").await;

    double.fault(Fault::Token { token: Some("second".to_owned()) }).await.unwrap();
    assert_eq!(client.get("/api/v1/services").await.0, 401);
    client.token = Some("second".to_owned());
    client.found("/api/v1/services").await;

    let wanted = Kubeconfig { token_file: Some("/run/token".into()), ..Kubeconfig::default() };
    let config: Value = serde_saphyr::from_str(&double.kubeconfig(&wanted).await.unwrap()).unwrap();
    assert_eq!(config["users"][0]["user"], json!({"tokenFile": "/run/token"}));
}

#[tokio::test]
async fn a_kubeconfig_names_what_it_is_told_to() {
    let double = double(Authentication::default()).await;
    let usual: Value = serde_saphyr::from_str(&double.kubeconfig(&Kubeconfig::default()).await.unwrap()).unwrap();
    assert_eq!(usual["current-context"], "k3d-double");
    assert_eq!(usual["clusters"][0]["cluster"]["server"], format!("https://{}", double.address()));
    let wanted = Kubeconfig {
        server: Some("https://node:6443".to_owned()),
        context: Some("k3d-other".to_owned()),
        ..Kubeconfig::default()
    };
    let other: Value = serde_saphyr::from_str(&double.kubeconfig(&wanted).await.unwrap()).unwrap();
    assert_eq!(other["contexts"][0]["name"], "k3d-other");
    assert_eq!(other["contexts"][0]["context"], json!({"cluster": "k3d-other", "user": "admin@k3d-other"}));
    assert_eq!(other["clusters"][0]["cluster"]["server"], "https://node:6443");
}

#[tokio::test]
async fn a_certificate_that_has_expired_is_shown_all_the_same() {
    let double = Double::start(Config { expired: true, ..Config::default() }).await.unwrap();
    let error = Client::of(&double).await.dial().await.unwrap_err();
    let error = error.into_inner().unwrap().downcast::<rustls::Error>().unwrap();
    let rustls::Error::InvalidCertificate(why) = *error else { panic!("{error}") };
    assert!(matches!(why, rustls::CertificateError::Expired | rustls::CertificateError::ExpiredContext { .. }));
}

#[tokio::test]
async fn a_certificate_is_for_the_names_that_were_given() {
    let names = vec!["api.example".to_owned(), "127.0.0.2".to_owned()];
    let double = Double::start(Config { names, ..Config::default() }).await.unwrap();
    let error = Client::of(&double).await.dial().await.unwrap_err();
    let error = error.into_inner().unwrap().downcast::<rustls::Error>().unwrap();
    assert!(matches!(*error, rustls::Error::InvalidCertificate(_)), "{error}");
    let listen = "127.0.0.2:0".parse().unwrap();
    let names = vec!["127.0.0.2".to_owned()];
    let double = Double::start(Config { names, listen, ..Config::default() }).await.unwrap();
    Client::of(&double).await.found("/version").await;
}

#[tokio::test]
async fn what_rbac_forbids_is_refused_in_the_servers_words() {
    let double = Arc::new(double(Authentication::default()).await);
    let client = Client::of(&double).await;
    let requests = Requests::to(Verb::List, Resource::Services).in_namespace("shop");
    double.fault(Fault::Forbid { requests }).await.unwrap();
    let (code, status) = client.get("/api/v1/namespaces/shop/services").await;
    let words = "services is forbidden: User \"dev\" cannot list resource \"services\" in API group \"\" in the \
         namespace \"shop\"";
    let expected = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": 403,
        "reason": "Forbidden", "message": words, "details": {"kind": "services"},
    });
    assert_eq!((code, status), (403, expected));
    client.found("/api/v1/services").await;

    let requests = Requests::to(Verb::Watch, Resource::EndpointSlices);
    double.fault(Fault::Forbid { requests }).await.unwrap();
    let (code, status) = client.get("/apis/discovery.k8s.io/v1/endpointslices?watch=1").await;
    let words = "endpointslices.discovery.k8s.io is forbidden: User \"dev\" cannot watch resource \"endpointslices\" \
         in API group \"discovery.k8s.io\" at the cluster scope";
    assert_eq!((code, status["message"].as_str()), (403, Some(words)));

    double.fault(Fault::Mend).await.unwrap();
    client.found("/api/v1/namespaces/shop/services").await;
}
