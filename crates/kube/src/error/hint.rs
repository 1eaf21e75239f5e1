//! What to do about a request that came to nothing.

use super::{Call, Error, ServerFault, Verb};
use crate::access::Source;
use crate::resource::Resource;

/// How the tools for local clusters call the context of a cluster.
const CONTEXTS: [(&str, Tool); 2] = [("k3d-", Tool::K3d), ("kind-", Tool::Kind)];

#[derive(Clone, Copy)]
enum Tool {
    K3d,
    Kind,
}

pub(super) fn of(error: &Error) -> Option<String> {
    Some(match error {
        Error::Access(error) => return error.hint(),
        Error::Unreachable { call, .. } => unreachable(call.source()),
        Error::ServerCertificate { call, fault } => server(call.source(), *fault),
        Error::ClientCertificate { call, .. } | Error::Unauthorized { call } => renewal(call.source()),
        Error::Forbidden { call } => return grant(call),
        Error::TooManyRequests { .. } => "try again in a while".to_owned(),
        Error::NotFound { .. } => "Kubernetes 1.21 and newer know it: see `kubectl version`".to_owned(),
        Error::Server { .. } | Error::TooMuch { .. } | Error::Other { .. } => return None,
    })
}

fn unreachable(source: &Source) -> String {
    match source {
        Source::Context { name, .. } => match cluster(name) {
            Some((Tool::K3d, cluster)) => {
                format!(
                    "is the cluster running? `k3d cluster list` shows it, and `k3d cluster start {cluster}` starts it"
                )
            }
            _ => format!("is the cluster running? `kubectl --context {name} version` asks the same server"),
        },
        Source::Container { name } => format!("is the API server in it running? `docker logs {name}` shows it"),
        Source::Pod => "see whether a network policy of this pod stands in the way".to_owned(),
    }
}

fn server(source: &Source, fault: ServerFault) -> String {
    match fault {
        ServerFault::Expired => {
            "k3s renews its certificates when its container is restarted, kubeadm with `kubeadm certs renew all`"
                .to_owned()
        }
        ServerFault::NotYetValid => "see whether the clock of this machine is right".to_owned(),
        ServerFault::NotTrusted => format!("perhaps it is another cluster by now; {}", renewal(source)),
        ServerFault::WrongName => {
            "write the server's name in its certificate as the cluster's `tls-server-name` in the kubeconfig".to_owned()
        }
    }
}

/// How to get new credentials.
fn renewal(source: &Source) -> String {
    match source {
        Source::Context { name, .. } => match cluster(name) {
            Some((Tool::K3d, cluster)) => {
                format!("get new credentials: `k3d kubeconfig merge {cluster} --kubeconfig-merge-default`")
            }
            Some((Tool::Kind, cluster)) => format!("get new credentials: `kind export kubeconfig --name {cluster}`"),
            None => format!("get new credentials for this context, until `kubectl --context {name} version` works"),
        },
        Source::Container { name } => format!("restart the container, which makes them anew: `docker restart {name}`"),
        Source::Pod => "see whether the pod's service account still exists".to_owned(),
    }
}

/// What the role needs that the user lacks.
fn grant(call: &Call) -> Option<String> {
    let resource = call.resource?;
    let verbs = match call.verb {
        // Which of both it takes depends on the transport, and on the server's version.
        _ if resource == Resource::PortForwards => "create,get",
        Verb::Get => "get",
        // Whoever watches has to list first.
        Verb::List | Verb::Watch => "list,watch",
        Verb::Create => "create",
    };
    Some(match &call.namespace {
        Some(namespace) => format!(
            "the verb {} is missing, as in `kubectl create role portgate --verb={verbs} --resource={resource} -n \
             {namespace}`, which a rolebinding gives to the user",
            call.verb
        ),
        None => format!(
            "the verb {} is missing, as in `kubectl create clusterrole portgate --verb={verbs} --resource={resource}`, \
             which a clusterrolebinding gives to the user",
            call.verb
        ),
    })
}

fn cluster(context: &str) -> Option<(Tool, &str)> {
    CONTEXTS.iter().find_map(|(prefix, tool)| context.strip_prefix(prefix).map(|cluster| (*tool, cluster)))
}
