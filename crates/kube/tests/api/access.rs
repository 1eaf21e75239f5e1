//! Getting there, with the credentials that there are.

use std::fs;

use portgate_core::kubernetes::{Kind, ObjectKey};
use portgate_double::{Authentication, Config, Fault, Kubeconfig, Objects};
use portgate_kube::access::{Access, ContainerKubeconfig, Source};
use portgate_kube::api::Api;
use portgate_kube::error::Error;

use crate::lab::{Lab, key, soon};

fn with_token(token: &str) -> Config {
    let authentication =
        Authentication { certificate: false, token: Some(token.to_owned()), ..Authentication::default() };
    Config { authentication, ..Config::default() }
}

fn echo() -> [ObjectKey; 1] {
    [key("svc/echo.backend")]
}

#[tokio::test]
async fn a_client_certificate_opens_the_door() {
    let lab = Lab::recorded().await;
    assert_eq!(lab.api().await.version().await.unwrap(), "v1.36.0");
}

#[tokio::test]
async fn a_token_opens_the_door() {
    let lab = Lab::with(with_token("one")).await;
    assert_eq!(lab.api().await.version().await.unwrap(), "v1.36.0");
}

#[tokio::test]
async fn a_containers_kubeconfig_opens_the_door_at_another_address() {
    let names = vec!["kubernetes".to_owned()];
    let lab = Lab::with(Config { names, ..Config::default() }).await;
    let server = Some("https://0.0.0.0:6443".to_owned());
    let text = lab.double.kubeconfig(&Kubeconfig { server, ..Kubeconfig::default() }).await.unwrap();
    let kubeconfig = ContainerKubeconfig::read("k3d-double-server-0", &text).unwrap();
    let access = Access::of_container(kubeconfig, lab.double.address());
    let api = Api::connect(&access).await.unwrap();
    assert_eq!(api.version().await.unwrap(), "v1.36.0");
    assert_eq!(*api.access().source(), Source::Container { name: "k3d-double-server-0".to_owned() });
}

#[tokio::test]
async fn a_token_that_was_replaced_is_read_anew_within_the_same_request() {
    let lab = Lab::with(with_token("one")).await;
    fs::write(lab.file("token"), "one\n").unwrap();
    lab.write_kubeconfig(&Kubeconfig { token_file: Some(lab.file("token")), ..Kubeconfig::default() }).await;
    let api = lab.api().await;
    assert_eq!(api.objects(&echo()).await.unwrap().services.len(), 1);
    lab.double.fault(Fault::Token { token: Some("two".to_owned()) }).await.unwrap();
    assert!(matches!(api.objects(&echo()).await, Err(Error::Unauthorized { .. })));
    fs::write(lab.file("token"), "two\n").unwrap();
    assert_eq!(api.objects(&echo()).await.unwrap().services.len(), 1);
}

#[tokio::test]
async fn a_kubeconfig_that_was_replaced_is_read_anew() {
    let lab = Lab::with(with_token("one")).await;
    let api = lab.api().await;
    lab.double.fault(Fault::Token { token: Some("two".to_owned()) }).await.unwrap();
    lab.write_kubeconfig(&Kubeconfig::default()).await;
    assert_eq!(api.objects(&echo()).await.unwrap().services.len(), 1);
}

#[tokio::test]
async fn a_server_that_has_moved_is_found_by_the_kubeconfig_of_now() {
    let lab = Lab::recorded().await;
    let api = lab.api().await;
    let other = Lab::with(Config { objects: Objects::None, ..Config::default() }).await;
    lab.double.fault(Fault::RefuseConnections).await.unwrap();
    assert!(matches!(api.version().await, Err(Error::Unreachable { .. })));
    fs::copy(other.file("config"), lab.file("config")).unwrap();
    assert_eq!(api.objects(&echo()).await.unwrap().services.len(), 0);
    assert_eq!(api.access().server(), other.access().server());
}

#[cfg(unix)]
#[tokio::test]
async fn a_credential_plugin_is_asked_once_for_a_token_and_again_when_it_is_refused() {
    let lab = Lab::with(with_token("one")).await;
    let script = format!(
        "echo run >> {0}/runs; printf '{{\"apiVersion\":\"client.authentication.k8s.io/v1\",\
         \"kind\":\"ExecCredential\",\"status\":{{\"token\":\"%s\"}}}}' \"$(cat {0}/token)\"",
        lab.file("").display()
    );
    fs::write(lab.file("plugin"), script).unwrap();
    fs::write(lab.file("token"), "one").unwrap();
    let text = fs::read_to_string(lab.file("config")).unwrap();
    let exec = format!(
        "exec: {{ apiVersion: client.authentication.k8s.io/v1, command: sh, args: [{:?}], interactiveMode: Never }}",
        lab.file("plugin")
    );
    fs::write(lab.file("config"), text.replace("token: \"one\"", &exec)).unwrap();
    let echo = echo();
    let runs = || fs::read_to_string(lab.file("runs")).unwrap().lines().count();

    let api = lab.api().await;
    assert_eq!(api.objects(&echo).await.unwrap().services.len(), 1);
    assert_eq!(runs(), 1);
    lab.double.fault(Fault::Token { token: Some("two".to_owned()) }).await.unwrap();
    fs::write(lab.file("token"), "two").unwrap();
    let (objects, names) = soon(async { tokio::join!(api.objects(&echo), api.names(Kind::Pod, "backend")) }).await;
    assert_eq!((objects.unwrap().services.len(), names.unwrap().len()), (1, 1));
    assert_eq!(runs(), 2);
}
