//! Forwards: gates in process placement, which lead through the Kubernetes API server.

use std::io;
use std::net::{SocketAddr, TcpListener};

use portgate_core::cluster::ClusterId;
use portgate_core::forward::Forward;
use portgate_core::kubernetes::Objects;
use portgate_core::mapping::{HostAddresses, Mapping, Target};
use portgate_core::port::{Port, Protocol};
use portgate_core::state::GateState;
use portgate_core::table::{Addresses, Means, NoBackend, Resolution, View};
use portgate_gate::paths::ProcessPaths;

use crate::choice;
use crate::failure::Failure;
use crate::gates::{Control, Gate};
use crate::host_port;
use crate::interrupt::Interrupt;
use crate::opening::PROOF;
use crate::process_gate;
use crate::trial::{self, Method, Trial};
use crate::view::Progress;

/// What a forward is to carry, and how.
pub(crate) struct Forwarding {
    pub(crate) cluster: ClusterId,
    pub(crate) mappings: Vec<Mapping>,
    pub(crate) objects: Objects,
    pub(crate) forward: Forward,
}

impl Forwarding {
    /// An error if a mapping cannot be carried: its protocol, its target, or its host port.
    pub(crate) async fn check(&self) -> Result<(), Failure> {
        for Mapping { local, target } in &self.mappings {
            if local.protocol == Protocol::Udp {
                return Err(Failure::UdpByApi { target: target.clone() });
            }
            if target.object().is_none() {
                return Err(Failure::NotByApi { target: target.clone() });
            }
        }
        for mapping in &self.mappings {
            match self.resolve(mapping) {
                // They may be ready in a moment, and connections wait for that.
                Ok(_) | Err(NoBackend::NotReady { .. }) => {}
                Err(why) => return Err(Failure::NoBackend { why }),
            }
        }
        host_port::check_rights(&self.mappings)?;
        // Without an engine, no container can hold a port.
        host_port::check(choice::engine().await.ok().as_ref(), &self.mappings).await
    }

    fn resolve(&self, mapping: &Mapping) -> Resolution {
        // The API server leads to pods by their names, whatever addresses they have.
        let view = View { nodes: &[], seen: &Addresses::new(), objects: &self.objects, means: Means::Api, own: None };
        view.resolve(&mapping.target, mapping.local.protocol)
    }

    /// The names of the pods that a mapping leads to now.
    pub(crate) fn pods(&self, mapping: &Mapping) -> Vec<String> {
        self.resolve(mapping).unwrap_or_default().into_iter().map(|backend| backend.node).collect()
    }

    /// The port of the pods that a mapping leads to; as it was named, as long as no pod is ready.
    pub(crate) fn remote_port(&self, mapping: &Mapping) -> String {
        let first = self.resolve(mapping).unwrap_or_default().first().map(|backend| backend.address.port().to_string());
        let Target::Object { port, .. } = &mapping.target else { return first.unwrap_or_default() };
        first.unwrap_or_else(|| port.to_string())
    }

    /// Writes down what the gate is to carry.
    pub(crate) fn prepare(&self, is_kept: bool) -> Result<ProcessPaths, Failure> {
        let paths = process_gate::claim(&self.cluster.forward_name(), is_kept)?;
        let state = GateState {
            forward: Some(self.forward.clone()),
            ..GateState::new(self.cluster.clone(), Vec::new(), self.mappings.clone()).knowing(&self.objects)
        };
        process_gate::save(&paths, &state)?;
        Ok(paths)
    }

    /// Starts a gate that outlives this command; returns when all ports listen, and are proven if `prove` says so.
    pub(crate) async fn detach(&self, interrupt: &Interrupt, prove: bool) -> Result<(String, Vec<Trial>), Failure> {
        let paths = self.prepare(true)?;
        let _progress = Progress::start("Opening");
        let started = async {
            process_gate::start(&paths, None).await?;
            if prove { self.prove(&paths).await } else { Ok(Vec::new()) }
        };
        let outcome = interrupt.abandon(started).await;
        if outcome.is_err() {
            process_gate::end(&paths).await?;
        }
        outcome.map(|trials| (process_gate::name(&paths), trials))
    }

    async fn prove(&self, paths: &ProcessPaths) -> Result<Vec<Trial>, Failure> {
        let (name, cluster) = (process_gate::name(paths), self.cluster.clone());
        let mut control = Control::connect(None, &Gate::Process { name, cluster, paths: paths.clone() }).await?;
        let mappings = control.status().await?.mappings;
        let method = Method { from_host: true, timeout: PROOF, exchange: None };
        trial::run(&mut control, &mappings, &method).await
    }
}

/// A port that is free on all of these addresses now.
pub(crate) fn free_port(addresses: &HostAddresses) -> Result<Port, Failure> {
    let find = || {
        let none = || io::Error::from(io::ErrorKind::AddrNotAvailable);
        let first = addresses.iter().next().ok_or_else(none)?;
        // The other addresses have it free most of the time.
        loop {
            let listener = TcpListener::bind(SocketAddr::new(first, 0))?;
            let port = listener.local_addr()?.port();
            let mut others = addresses.iter().skip(1);
            if others.all(|address| TcpListener::bind(SocketAddr::new(address, port)).is_ok()) {
                return Port::new(port).ok_or_else(none);
            }
        }
    };
    find().map_err(Failure::system("find a free port"))
}
