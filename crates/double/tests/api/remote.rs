//! Controlling a double from another process: nothing but its control endpoint's address is known.

use std::net::SocketAddr;

use portgate_double::object::service;
use portgate_double::{Config, Control, ControlError, Double, Failure, Fault, Kubeconfig, Requests, Resource, Verb};
use serde_json::json;

use crate::client::Client;

#[tokio::test]
async fn everything_can_be_done_from_afar() {
    let control = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
    let double = Double::start(Config { control, ..Config::default() }).await.unwrap();
    let remote = Control::remote(double.control_address().unwrap());

    let wanted = Kubeconfig { server: Some(format!("https://{}", double.address())), ..Kubeconfig::default() };
    let client = Client::from_kubeconfig(&remote.kubeconfig(&wanted).await.unwrap());
    let applied = remote.apply(service("web", "shop").port("", 80)).await.unwrap();
    assert_eq!(client.found("/api/v1/namespaces/shop/services/web").await, applied);
    assert!(remote.delete(Resource::Services, "shop", "web").await.unwrap());
    assert!(!remote.delete(Resource::Services, "shop", "web").await.unwrap());

    let requests = Requests::to(Verb::List, Resource::Pods);
    remote.fault(Fault::Answer { requests, failure: Failure::InternalError, times: Some(1) }).await.unwrap();
    assert_eq!(client.get("/api/v1/pods").await.0, 500);
    assert_eq!(remote.counters().await.unwrap().requests(Verb::List, Resource::Pods), 1);
    assert_eq!(remote.counters().await.unwrap(), double.counters().await.unwrap());

    let refused = remote.apply(json!({"kind": "Secret", "apiVersion": "v1"})).await.unwrap_err();
    let words = "nothing is known of objects of the kind \"Secret\" in \"v1\"";
    assert!(matches!(refused, ControlError::Refused { message } if message == words));
}

#[tokio::test]
async fn a_double_that_is_not_there_cannot_be_controlled() {
    let control = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
    let double = Double::start(Config { control, ..Config::default() }).await.unwrap();
    let remote = Control::remote(double.control_address().unwrap());
    double.stop().await;
    assert!(matches!(remote.counters().await.unwrap_err(), ControlError::Connect { .. }));
}

#[tokio::test]
async fn a_config_can_be_written_as_json() {
    let text =
        r#"{"listen": "127.0.0.1:0", "names": ["localhost"], "authentication": {"token": "t"}, "objects": "none"}"#;
    let config: Config = serde_json::from_str(text).unwrap();
    assert_eq!(config.authentication.token.as_deref(), Some("t"));
    assert_eq!(serde_json::from_value::<Config>(serde_json::to_value(&config).unwrap()).unwrap(), config);
}
