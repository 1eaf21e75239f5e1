//! What a user is told who asks for what is not there, or may not be had.

use insta::assert_snapshot;
use portgate_double::object::{deployment, endpoint_slice, namespace, service};
use portgate_double::{Config, Failure, Fault, Requests, Resource, Verb};

use crate::reach::User;
use crate::support::free_port;

/// What `portgate forward` says of these words, with what differs from run to run taken out.
async fn refused(user: &User, words: &str, code: i32) -> String {
    let ran = user.run(&format!("forward {words}")).await.fails(code);
    assert_eq!(ran.stdout, "");
    user.has_nothing_left();
    plain(user, &ran.stderr)
}

fn plain(user: &User, text: &str) -> String {
    let home = user.path("").display().to_string();
    text.replace(&user.api.address().to_string(), "SERVER").replace(&home, "HOME/")
}

async fn of_namespace(user: &User, words: &str) -> String {
    refused(user, &format!("{words} -n backend"), 1).await
}

#[tokio::test]
async fn names_that_are_not_there_are_told_with_those_that_are() {
    let user = User::new().await;
    user.api.apply(namespace("shop")).await.unwrap();
    assert_snapshot!(of_namespace(&user, "svc/ecko 80").await, @"
    error: there is no Service ecko in namespace backend
    hint: did you mean echo?
    ");
    assert_snapshot!(of_namespace(&user, "svc/zebra 80").await, @"
    error: there is no Service zebra in namespace backend
    hint: there are echo, internal
    ");
    assert_snapshot!(of_namespace(&user, "deploy/zebra 80").await, @"
    error: there is no Deployment zebra in namespace backend
    hint: there are echo
    ");
    assert_snapshot!(of_namespace(&user, "zebra 80").await, @"
    error: there is no pod zebra in namespace backend
    hint: there are echo-6d4f68dbd7-k8vdx
    ");
    assert_snapshot!(refused(&user, "svc/echo 80 -n bakcend", 1).await, @"
    error: there is no namespace bakcend
    hint: did you mean backend?
    ");
}

#[tokio::test]
async fn ports_that_are_not_there_are_told_with_those_that_are() {
    let user = User::new().await;
    assert_snapshot!(of_namespace(&user, "svc/echo 8080:htpp").await, @"
    error: svc/echo.backend has no port htpp
    hint: did you mean http?
    ");
    assert_snapshot!(of_namespace(&user, "svc/echo 8080:81").await, @"
    error: svc/echo.backend has no port 81
    hint: its ports are 9999/tcp (tcp), 9998/udp (udp), 5201/tcp (iperf), 5201/udp (iperfu), 80/tcp (http)
    ");
    assert_snapshot!(refused(&user, "svc/echo 9998 -n backend", 2).await, @"
    error: svc/echo.backend:9998 is UDP, which the Kubernetes API server does not carry
    hint: the gate of a local cluster reaches it without the API server: `portgate open svc/echo.backend:9998`
    ");
}

#[tokio::test]
async fn services_that_lead_to_no_pod_are_told_apart() {
    let user = User::new().await;
    let mut outside: serde_json::Value = service("outside", "backend").port("http", 80).into();
    outside["spec"]["type"] = "ExternalName".into();
    outside["spec"]["externalName"] = "example.org".into();
    user.api.apply(outside).await.unwrap();
    user.api.apply(service("empty", "backend").at("10.43.0.9").port("http", 80)).await.unwrap();
    user.api.apply(endpoint_slice("empty", "backend").port("http", 80)).await.unwrap();
    user.api.apply(deployment("nothing", "backend").selecting("app", "nothing")).await.unwrap();
    assert_snapshot!(of_namespace(&user, "svc/outside 80").await, @"
    error: svc/outside.backend is an ExternalName: it leads to example.org, outside of the cluster
    hint: connect to example.org itself
    ");
    assert_snapshot!(of_namespace(&user, "svc/empty 8080:80").await, @"
    error: svc/empty.backend has no endpoint
    hint: `kubectl describe svc/empty -n backend` shows its selector, `kubectl get pods -n backend` the pods
    ");
    assert_snapshot!(of_namespace(&user, "deploy/nothing 8080:80").await, @"
    error: deploy/nothing.backend has no endpoint
    hint: `kubectl describe deploy/nothing -n backend` shows its selector, `kubectl get pods -n backend` the pods
    ");
}

#[tokio::test]
async fn what_rbac_forbids_is_named_with_the_rule_that_is_missing() {
    let user = User::new().await;
    let requests = Requests::to(Verb::List, Resource::EndpointSlices);
    user.api.fault(Fault::Forbid { requests }).await.unwrap();
    assert_snapshot!(of_namespace(&user, "svc/echo 8080:9999").await, @"
    error: cannot list endpointslices.discovery.k8s.io in namespace backend: the API server https://SERVER forbids it (context k3d-double of HOME/kubeconfig)
    hint: the verb list is missing, as in `kubectl create role portgate --verb=list,watch --resource=endpointslices.discovery.k8s.io -n backend`, which a rolebinding gives to the user
    ");
    user.api.fault(Fault::Mend).await.unwrap();
    let requests = Requests::to(Verb::Create, Resource::PortForward);
    user.api.fault(Fault::Forbid { requests }).await.unwrap();
    let port = free_port();
    let ran = user.run(&format!("forward svc/echo {port}:9999 -n backend -d")).await.fails(1);
    let said = plain(&user, &ran.stderr).replace(&port.to_string(), "PORT");
    assert_snapshot!(said, @"
    svc/echo.backend:9999: pod/echo-6d4f68dbd7-k8vdx
    k3d-double-forward goes on in the background; `portgate close` or `portgate down` ends it
    warning: localhost:PORT/tcp: echo-6d4f68dbd7-k8vdx (10.42.0.2:9999): cannot create pods/portforward in namespace backend: the API server https://SERVER forbids it (context k3d-double of HOME/kubeconfig)
    error: 1 of 1 opened port cannot be reached yet
    hint: what is open stays open, and leads to its target as soon as that listens; `portgate test` tries again
    ");
}

#[tokio::test]
async fn a_server_that_cannot_be_asked_is_named() {
    let user = User::new().await;
    user.api
        .fault(Fault::Answer { requests: Requests::all(), failure: Failure::Unauthorized, times: None })
        .await
        .unwrap();
    assert_snapshot!(of_namespace(&user, "svc/echo 8080:9999").await, @"
    error: cannot list services in namespace backend: the API server https://SERVER does not accept the credentials (context k3d-double of HOME/kubeconfig)
    hint: get new credentials: `k3d kubeconfig merge double --kubeconfig-merge-default`
    ");
    user.api.fault(Fault::RefuseConnections).await.unwrap();
    assert_snapshot!(of_namespace(&user, "svc/echo 8080:9999").await, @"
    error: cannot list services in namespace backend: the API server https://SERVER cannot be reached (context k3d-double of HOME/kubeconfig): Connection refused (os error 111)
    hint: is the cluster running? `k3d cluster list` shows it, and `k3d cluster start double` starts it
    ");
}

#[tokio::test]
async fn an_expired_certificate_is_told_as_that() {
    let user = User::of(Config { expired: true, ..Config::default() }).await;
    assert_snapshot!(of_namespace(&user, "svc/echo 8080:9999").await, @"
    error: cannot list services in namespace backend: the certificate of the API server https://SERVER has expired (context k3d-double of HOME/kubeconfig)
    hint: k3s renews its certificates when its container is restarted, kubeadm with `kubeadm certs renew all`
    ");
}

#[tokio::test]
async fn contexts_and_words_that_are_wrong_are_refused() {
    let user = User::new().await;
    assert_snapshot!(refused(&user, "svc/echo 8080 --context k3d-duoble", 1).await, @"
    error: there is no context k3d-duoble in the kubeconfig
    hint: did you mean k3d-double? contexts are: k3d-double
    ");
    assert_snapshot!(refused(&user, "ingress/web 80", 2).await, @"
    error: `ingress/web`: not a target
    hint: the targets are svc/NAME, pod/NAME, deploy/NAME, sts/NAME and ds/NAME; a bare name is a pod
    ");
    assert_snapshot!(refused(&user, "svc/echo 80:90:100", 2).await, @"
    error: `80:90:100`: not a port
    hint: a port is REMOTE, LOCAL:REMOTE or :REMOTE, as 8080, 8080:80, 8080:http or :80
    ");
    assert_snapshot!(refused(&user, "svc/echo svc/web 80", 2).await, @"
    error: svc/echo has no port
    hint: name its ports behind it, as svc/web 8080:80
    ");
    assert_snapshot!(refused(&user, "svc/echo 80 --address nowhere", 2).await, @"
    error: `nowhere`: not an IP address
    hint: an address is 127.0.0.1, ::1 or localhost
    ");
}

#[tokio::test]
async fn a_port_that_is_taken_is_told_with_its_holder() {
    let user = User::new().await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let said = of_namespace(&user, &format!("svc/echo {port}:9999")).await;
    assert!(said.contains(&format!("127.0.0.1:{port}/tcp is taken by process e2e")), "{said}");
}
