//! Controlling a double, from the process that it runs in or from another.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::command::{Command, ObjectName, Served};
use crate::counters::Counters;
use crate::fault::Fault;
use crate::kubeconfig::Kubeconfig;
use crate::remote;
use crate::resource::Resource;
use crate::shared::Shared;

/// The hold on a double.
#[derive(Clone)]
pub struct Control(Way);

/// How a command gets there.
#[derive(Clone)]
enum Way {
    Here(Arc<Shared>),
    There(SocketAddr),
}

/// Why a double did not do as it was told.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// It cannot be reached.
    #[error("cannot reach the double at {address}")]
    Connect {
        /// Its control endpoint.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// It did not answer.
    #[error("the double did not answer")]
    Http(#[from] hyper::Error),
    /// It did not want to.
    #[error("the double refuses: {message}")]
    Refused {
        /// In its words.
        message: String,
    },
    /// Its answer was not understood, or the command could not be said.
    #[error("the double is not understood")]
    Json(#[from] serde_json::Error),
}

impl Control {
    /// The hold on the double whose control endpoint is here.
    pub fn remote(address: SocketAddr) -> Self {
        Self(Way::There(address))
    }

    pub(crate) fn here(shared: Arc<Shared>) -> Self {
        Self(Way::Here(shared))
    }

    /// Creates or replaces an object, and gives it back as it is then.
    pub async fn apply(&self, object: impl Into<Value>) -> Result<Value, ControlError> {
        self.ask(Command::Apply(object.into())).await
    }

    /// Deletes an object of a namespace; whether there was one.
    pub async fn delete(&self, resource: Resource, namespace: &str, name: &str) -> Result<bool, ControlError> {
        let namespace = resource.is_namespaced().then(|| namespace.to_owned());
        self.ask(Command::Delete(ObjectName { resource, namespace, name: name.to_owned() })).await
    }

    /// Lets a port of a pod lead to a socket. A port that leads nowhere refuses connections.
    pub async fn serve(&self, namespace: &str, pod: &str, port: u16, address: SocketAddr) -> Result<(), ControlError> {
        let (namespace, pod) = (namespace.to_owned(), pod.to_owned());
        self.ask(Command::Serve(Served { namespace, pod, port, address })).await
    }

    /// Lets something go wrong. It does when this returns.
    pub async fn fault(&self, fault: Fault) -> Result<(), ControlError> {
        self.ask(Command::Fault(fault)).await
    }

    /// The kubeconfig's text.
    pub async fn kubeconfig(&self, wanted: &Kubeconfig) -> Result<String, ControlError> {
        self.send(Command::Kubeconfig(wanted.clone())).await
    }

    /// What has happened so far, and what is open now.
    pub async fn counters(&self) -> Result<Counters, ControlError> {
        self.ask(Command::Counters).await
    }

    async fn ask<T: DeserializeOwned>(&self, command: Command) -> Result<T, ControlError> {
        Ok(serde_json::from_str(&self.send(command).await?)?)
    }

    async fn send(&self, command: Command) -> Result<String, ControlError> {
        match &self.0 {
            Way::Here(shared) => {
                shared.obey(command).await.map_err(|refusal| ControlError::Refused { message: refusal.to_string() })
            }
            Way::There(address) => remote::send(*address, &command).await,
        }
    }
}
