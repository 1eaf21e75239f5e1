//! What a double can be told, and how that is said over HTTP.

use std::net::SocketAddr;

use bytes::Bytes;
use hyper::Method;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::fault::Fault;
use crate::kubeconfig::Kubeconfig;
use crate::resource::Resource;

/// What a double can be told.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Command {
    Apply(Value),
    Delete(ObjectName),
    Serve(Served),
    Fault(Fault),
    Kubeconfig(Kubeconfig),
    Counters,
}

/// Which object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ObjectName {
    pub(crate) resource: Resource,
    /// `None` for a Node or a Namespace.
    pub(crate) namespace: Option<String>,
    pub(crate) name: String,
}

/// What a port of a pod leads to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Served {
    pub(crate) namespace: String,
    pub(crate) pod: String,
    pub(crate) port: u16,
    pub(crate) address: SocketAddr,
}

/// Why a request is no command.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    #[error("there is no such command")]
    Unknown,
    #[error("not understood: {0}")]
    Malformed(#[from] serde_json::Error),
}

impl Command {
    /// As a request: method, path with query, body.
    pub(crate) fn request(&self) -> Result<(Method, String, String), serde_json::Error> {
        let post = |path: &str, body| (Method::POST, path.to_owned(), body);
        Ok(match self {
            Self::Apply(object) => post("/apply", object.to_string()),
            Self::Delete(object) => post("/delete", serde_json::to_string(object)?),
            Self::Serve(served) => post("/serve", serde_json::to_string(served)?),
            Self::Fault(fault) => post("/fault", serde_json::to_string(fault)?),
            Self::Kubeconfig(wanted) => (Method::GET, format!("/kubeconfig?{}", query(wanted)?), String::new()),
            Self::Counters => (Method::GET, "/counters".to_owned(), String::new()),
        })
    }

    /// What a request says.
    pub(crate) fn parse(method: &Method, path: &str, query: &str, body: &Bytes) -> Result<Self, CommandError> {
        fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T, CommandError> {
            Ok(serde_json::from_slice(body)?)
        }
        match (method, path) {
            (&Method::POST, "/apply") => Ok(Self::Apply(read(body)?)),
            (&Method::POST, "/delete") => Ok(Self::Delete(read(body)?)),
            (&Method::POST, "/serve") => Ok(Self::Serve(read(body)?)),
            (&Method::POST, "/fault") => Ok(Self::Fault(read(body)?)),
            (&Method::GET, "/kubeconfig") => {
                let pairs = form_urlencoded::parse(query.as_bytes());
                let wanted = pairs.map(|(key, value)| (key.into_owned(), Value::from(value.into_owned()))).collect();
                Ok(Self::Kubeconfig(serde_json::from_value(Value::Object(wanted))?))
            }
            (&Method::GET, "/counters") => Ok(Self::Counters),
            _ => Err(CommandError::Unknown),
        }
    }
}

/// The fields that are set, as a query.
fn query(wanted: &Kubeconfig) -> Result<String, serde_json::Error> {
    let fields = serde_json::to_value(wanted)?;
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (key, value) in fields.as_object().into_iter().flatten() {
        if let Some(value) = value.as_str() {
            query.append_pair(key, value);
        }
    }
    Ok(query.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Failure;
    use crate::hostile::{Hostility, Stage};
    use crate::request::Requests;
    use crate::resource::Verb;
    use serde_json::json;

    #[test]
    fn a_command_comes_through_http_as_it_went() {
        let requests = Requests::to(Verb::List, Resource::PortForward).in_namespace("shop");
        let kubeconfig = Kubeconfig { server: Some("https://a b&c".to_owned()), ..Kubeconfig::default() };
        let commands = [
            Command::Apply(json!({"kind": "Pod"})),
            Command::Delete(ObjectName { resource: Resource::Nodes, namespace: None, name: "node".to_owned() }),
            Command::Fault(Fault::Answer { requests, failure: Failure::Gone, times: Some(2) }),
            Command::Fault(Fault::Transports(crate::Transports::default())),
            Command::Fault(Fault::KillConnections),
            Command::Fault(Fault::Hostile { requests: Requests::all(), how: Hostility::Stall(Stage::Body) }),
            Command::Fault(Fault::Hostile { requests: Requests::all(), how: Hostility::EndlessObjects { name: 7 } }),
            Command::Kubeconfig(kubeconfig),
            Command::Counters,
        ];
        for command in commands {
            let (method, uri, body) = command.request().unwrap();
            let (path, query) = uri.split_once('?').unwrap_or((&uri, ""));
            assert_eq!(Command::parse(&method, path, query, &body.into()).unwrap(), command);
        }
    }

    #[test]
    fn a_fault_can_be_written_by_hand() {
        let body =
            r#"{"fault": "answer", "requests": {"resource": "pods/portforward"}, "failure": "gone", "times": null}"#;
        let command = Command::parse(&Method::POST, "/fault", "", &Bytes::from_static(body.as_bytes())).unwrap();
        let requests = Requests { resource: Some(Resource::PortForward), ..Requests::all() };
        assert_eq!(command, Command::Fault(Fault::Answer { requests, failure: Failure::Gone, times: None }));
        assert!(Command::parse(&Method::GET, "/fault", "", &Bytes::new()).is_err());
    }
}
