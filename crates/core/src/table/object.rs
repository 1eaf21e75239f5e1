//! Where Services, pods and workloads are reached.

use std::net::{IpAddr, SocketAddr};

use super::{Backend, Means, NoBackend, Reach, Resolution, View};
use crate::kubernetes::{Endpoint, Exposure, Kind, ObjectKey, Pod, PortName, Service, ServicePort};
use crate::port::{Port, Protocol};

impl View<'_> {
    pub(super) fn object(&self, key: &ObjectKey, port: &PortName, protocol: Protocol) -> Resolution {
        if self.means == Means::Api && protocol == Protocol::Udp {
            return Err(NoBackend::UdpByApi);
        }
        if key.kind == Kind::Service {
            let service = self.objects.services.get(key).ok_or_else(|| self.unknown(key))?;
            self.service(key, service, port, protocol)
        } else {
            let pods = self.objects.pods.get(key).ok_or_else(|| self.unknown(key))?;
            self.pods(key, pods, port, protocol)
        }
    }

    fn unknown(&self, key: &ObjectKey) -> NoBackend {
        match &self.objects.problem {
            Some(problem) => NoBackend::Unknown { object: key.clone(), problem: problem.clone() },
            None => NoBackend::NotFound { object: key.clone() },
        }
    }

    fn service(&self, key: &ObjectKey, service: &Service, name: &PortName, protocol: Protocol) -> Resolution {
        let object = || key.clone();
        if let Exposure::ExternalName { name } = &service.exposure {
            return Err(NoBackend::ExternalName { object: object(), name: name.clone() });
        }
        let no_port = || NoBackend::NoPort { object: object(), port: name.clone(), protocol };
        let port = service.port(name, protocol).ok_or_else(no_port)?;
        if service.ready().next().is_none() {
            return Err(none_of(service.endpoints.len(), object()));
        }
        if self.means == Means::Api {
            return backends(
                service.ready().filter_map(|end| by_api(end, port)),
                NoBackend::NoPod { object: object() },
            );
        }
        // kube-proxy leads to every endpoint, so its ways are closed where one is forbidden. The others have their own.
        let is_allowed = service.ready().all(|end| self.allows(end.address));
        if let (true, Some(node_port)) = (is_allowed, port.node_port) {
            return self.on_nodes(self.nodes_of(service), node_port);
        }
        let balanced = if is_allowed { self.balanced(service, port) } else { Vec::new() };
        if !balanced.is_empty() {
            return Ok(balanced);
        }
        if service.is_headless() || !is_allowed {
            let ends = service.ready().filter_map(|end| Some((end.address, end.port(port)?, end.node.as_deref())));
            return self.ends(key, ends);
        }
        let address = service.cluster_ips.iter().find(|address| address.is_ipv4());
        self.ends(key, address.map(|address| (*address, port.port, None)).into_iter())
    }

    /// The nodes that serve a Service's node ports: those that Kubernetes calls ready, unless it calls none so; and of
    /// these, for a Service that stays local, those with an endpoint.
    fn nodes_of(&self, service: &Service) -> Vec<&String> {
        let local = |node: &&String| service.ready().any(|end| end.node.as_ref() == Some(*node));
        let nodes: Vec<&String> = self.nodes.iter().filter(|node| !service.local_only || local(node)).collect();
        let is_ready = |node: &&&String| self.objects.ready_nodes.as_ref().is_none_or(|ready| ready.contains(**node));
        let ready: Vec<&String> = nodes.iter().filter(is_ready).copied().collect();
        if ready.is_empty() { nodes } else { ready }
    }

    /// Where a load balancer serves the Service on a port of nodes, as the `ServiceLB` of k3s does.
    fn balanced(&self, service: &Service, port: &ServicePort) -> Vec<Backend> {
        let at = |address: &IpAddr| self.on_node(self.node_at(*address)?, port.port).ok().flatten();
        service.ingress.iter().filter_map(at).collect()
    }

    fn pods(&self, key: &ObjectKey, pods: &[Pod], name: &PortName, protocol: Protocol) -> Resolution {
        let ready = || pods.iter().filter(|pod| pod.ready && !pod.terminating);
        if ready().next().is_none() {
            return Err(none_of(pods.len(), key.clone()));
        }
        let ends = ready().filter_map(|pod| Some((pod, pod.address?, pod.port(name, protocol)?)));
        let no_port = || NoBackend::NoPort { object: key.clone(), port: name.clone(), protocol };
        if ends.clone().next().is_none() {
            return Err(no_port());
        }
        match self.means {
            Means::Api => backends(ends.map(|(pod, address, port)| of_pod(&pod.name, address, port)), no_port()),
            Means::Network { .. } => {
                self.ends(key, ends.map(|(pod, address, port)| (address, port, pod.node.as_deref())))
            }
        }
    }

    /// Ends within the cluster, each reached through the node that it is on, else through the first that runs. One that
    /// has the address of a node needs no route. Those that are forbidden are left out.
    fn ends<'a>(&self, key: &ObjectKey, ends: impl Iterator<Item = (IpAddr, Port, Option<&'a str>)>) -> Resolution {
        let (allowed, forbidden): (Vec<_>, Vec<_>) = ends.partition(|(address, ..)| self.allows(*address));
        if let (true, Some(why)) = (allowed.is_empty(), forbidden.iter().find_map(|end| self.refusal(key, end.0))) {
            return Err(why);
        }
        let mut is_any_node_up = false;
        let reached = allowed.into_iter().filter_map(|(address, port, node)| {
            let address = SocketAddr::new(address, port.number());
            if let Some(node) = self.node_at(address.ip()) {
                return Some(Backend { node: node.to_owned(), address, reach: Reach::Node });
            }
            let (node, via) = self.router(node)?;
            is_any_node_up = true;
            let routes = self.means == Means::Network { routes: true };
            (routes && address.is_ipv4()).then(|| Backend {
                node: node.to_owned(),
                address,
                reach: Reach::Route { via },
            })
        });
        let reached: Vec<Backend> = reached.collect();
        match reached.is_empty() {
            false => Ok(reached),
            true if is_any_node_up || self.router(None).is_some() => Err(NoBackend::NoRoute { object: key.clone() }),
            true => Err(NoBackend::ClusterStopped),
        }
    }

    /// The node that packets go through: this one if it runs, else the first that does.
    fn router(&self, preferred: Option<&str>) -> Option<(&str, IpAddr)> {
        let is_router = |address: &IpAddr| address.is_ipv4() && self.allows(*address);
        let at = |node: &str| self.seen.get(node)?.iter().copied().find(is_router);
        let known = preferred.and_then(|name| self.nodes.iter().find(|node| *node == name));
        known.into_iter().chain(self.nodes).find_map(|node| Some((node.as_str(), at(node)?)))
    }

    /// The addresses to which an object could lead; none where the API server leads to it.
    pub(super) fn addresses(&self, key: &ObjectKey) -> Vec<IpAddr> {
        if self.means == Means::Api {
            return Vec::new();
        }
        let service = self.objects.services.get(key).into_iter();
        let of_service = service
            .flat_map(|service| service.cluster_ips.iter().copied().chain(service.ready().map(|end| end.address)));
        let pods = self.objects.pods.get(key).into_iter().flatten();
        let of_pods = pods.filter(|pod| pod.ready && !pod.terminating).filter_map(|pod| pod.address);
        of_service.chain(of_pods).collect()
    }

    fn node_at(&self, address: IpAddr) -> Option<&str> {
        let has = |node: &&String| self.seen.get(*node).is_some_and(|addresses| addresses.contains(&address));
        self.nodes.iter().find(has).map(String::as_str)
    }
}

/// Why none of so many ends takes connections.
fn none_of(ends: usize, object: ObjectKey) -> NoBackend {
    if ends == 0 { NoBackend::NoEndpoint { object } } else { NoBackend::NotReady { object } }
}

fn backends(found: impl Iterator<Item = Backend>, otherwise: NoBackend) -> Resolution {
    let found: Vec<Backend> = found.collect();
    if found.is_empty() { Err(otherwise) } else { Ok(found) }
}

/// An endpoint that is no pod cannot be reached through the API server.
fn by_api(end: &Endpoint, port: &ServicePort) -> Option<Backend> {
    Some(of_pod(end.pod.as_ref()?, end.address, end.port(port)?))
}

fn of_pod(pod: &str, address: IpAddr, port: Port) -> Backend {
    Backend { node: pod.to_owned(), address: SocketAddr::new(address, port.number()), reach: Reach::Api }
}
