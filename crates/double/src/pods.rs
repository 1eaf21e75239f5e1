//! What is served in the pods: real sockets, which port-forwards lead to.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use crate::connections::PodName;

/// The ports that are served.
#[derive(Debug, Default)]
pub(crate) struct Pods(Mutex<HashMap<(PodName, u16), SocketAddr>>);

impl Pods {
    pub(crate) fn serve(&self, pod: PodName, port: u16, address: SocketAddr) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert((pod, port), address);
    }

    /// What is in the pod is gone.
    pub(crate) fn empty(&self, pod: &PodName) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|(served, _), _| served != pod);
    }

    pub(crate) fn address(&self, pod: &PodName, port: u16) -> Option<SocketAddr> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&(pod.clone(), port)).copied()
    }
}
