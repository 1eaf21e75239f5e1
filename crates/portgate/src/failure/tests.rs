use std::collections::BTreeSet;
use std::path::PathBuf;

use anstyle::Style;
use portgate_core::control::Refusal;
use portgate_core::kubernetes::{Kind, PortName};
use portgate_core::mapping::{HostAddresses, Mapping};
use portgate_core::port::{Port, Protocol};
use portgate_core::status::{Datapath, Placement};
use portgate_docker::call::Action;
use portgate_docker::endpoint::Endpoint;
use portgate_docker::file;

use super::*;
use crate::view::hostile;

/// The names of all failures, and which of them one is.
macro_rules! names {
    ($($name:ident)*) => {
        const NAMES: &[&str] = &[$(stringify!($name)),*];

        fn name(failure: &Failure) -> &'static str {
            match failure {
                $(Failure::$name { .. } => stringify!($name),)*
            }
        }
    };
}

names! {
    Engine Call Cluster Image ImageStore Create Exec State Client Gate Store Worker Leftovers Sweep Access Api Door Target
    HostPort Word UnknownObject UnknownNamespace NoServices UdpByApi NotByApi NoBackend NeedsRoute Conflict NoHostPlacement
    OtherSite NoCluster SeveralClusters UnusableNetwork UnknownCluster ClusterStopped NodeStopped UnknownContainer PortTaken
    PortPrivileged NoAddress Many NotOpen NothingOpen GateNotRunning GateSilent GateNewer Contended Unproven Broken WorseThanBefore
    GateEnded System Several Interrupted
}

/// A text from outside, wherever a failure may have one.
struct Foreign<'a>(&'a str);

impl Foreign<'_> {
    fn text(&self) -> String {
        self.0.to_owned()
    }

    fn path(&self) -> PathBuf {
        self.0.into()
    }

    fn list(&self) -> Vec<String> {
        vec![self.text(), self.text()]
    }

    fn io(&self) -> io::Error {
        io::Error::other(self.text())
    }

    fn object(&self) -> ObjectKey {
        ObjectKey { kind: Kind::Service, namespace: self.text(), name: self.text() }
    }

    fn target(&self) -> Target {
        Target::Object { object: self.object(), port: PortName::Name(self.text()) }
    }

    fn mapping(&self) -> Mapping {
        Mapping { local: local(), target: self.target() }
    }

    fn call(&self) -> call::Error {
        let action = Action { operation: "create container", object: self.text() };
        call::Error::Refused { action, status: 500, message: self.text() }
    }

    /// At least one of each kind.
    fn failures(&self) -> Vec<Failure> {
        let mut failures = self.of_other_crates();
        failures.extend(self.of_clusters());
        failures.extend(self.of_ports());
        failures
    }

    fn of_other_crates(&self) -> Vec<Failure> {
        let unusable = || portgate_core::state::GateState::from_json(b"{", "state.json").unwrap_err();
        vec![
            engine::Error::Unsupported { endpoint: Endpoint::Tcp(self.text()) }.into(),
            self.call().into(),
            clusters::Error::UnknownNetwork { name: self.text(), known: self.list() }.into(),
            image::Error::Read { path: self.path(), source: self.io() }.into(),
            image::StoreError::BadReference { reference: self.text() }.into(),
            gates::Error::NoNetwork { network: self.text() }.into(),
            gates::ControlError::Ended { container: self.text(), status: Some(1), complaint: self.text() }.into(),
            gates::StateError::Unusable { container: self.text(), path: self.text(), source: unusable() }.into(),
            gates::StateError::File(file::Error::Engine(self.call())).into(),
            ClientError::Connect { path: self.path(), source: self.io() }.into(),
            ClientError::Refused(Refusal::State { message: self.text() }).into(),
            GateError::NoState(self.path()).into(),
            StoreError::Unusable { path: self.path().join("state.json"), source: unusable() }.into(),
            StoreError::Read { path: self.path().join("state.json"), source: self.io() }.into(),
            StoreError::Write { path: self.path(), source: self.io() }.into(),
            WorkerError::Channel(self.io()).into(),
            leftovers::Error::File { path: self.path(), source: self.io() }.into(),
            gates::SweepError::Failed { container: self.text(), status: 1, complaint: self.text() }.into(),
            gates::SweepError::Engine(self.call()).into(),
            AccessError::UnknownContext { name: self.text(), known: self.list() }.into(),
            ApiError::Access(AccessError::BadServer { server: self.text() }).into(),
            DoorError::NoKubeconfig { container: self.text() }.into(),
            TargetError::ExternalName { object: Box::new(self.object()), name: self.text() }.into(),
            NoHostPort { target: self.target(), first: 1, last: 2 }.into(),
            WordError::Target { word: self.text() }.into(),
            Conflict::Open { wanted: Box::new(self.mapping()), open: Box::new(self.mapping()) }.into(),
            Failure::Several(vec![self.call(), self.call()]),
            Failure::System { action: self.text(), source: self.io() },
        ]
    }

    fn of_clusters(&self) -> Vec<Failure> {
        let (name, known) = (self.text(), self.list());
        let (nearest, no_nearest) = (Some(self.text()), None);
        let stopped = |provider, node| Failure::ClusterStopped { name: self.text(), provider, node };
        vec![
            Failure::UnknownObject { object: self.object(), nearest: nearest.clone(), known: known.clone() },
            Failure::UnknownNamespace { name: name.clone(), nearest: no_nearest.clone(), known: known.clone() },
            Failure::NoServices { selector: Some(name.clone()), namespace: Some(name.clone()) },
            Failure::NoHostPlacement(NoHost::Rootless),
            Failure::OtherSite {
                cluster: name.clone(),
                site: Site { placement: Placement::Host, datapath: Datapath::Kernel },
            },
            Failure::NoCluster,
            Failure::SeveralClusters { names: known.clone() },
            Failure::UnusableNetwork { network: name.clone() },
            Failure::UnknownCluster { name: name.clone(), nearest, known: known.clone() },
            Failure::UnknownCluster { name: name.clone(), nearest: no_nearest.clone(), known: Vec::new() },
            stopped(Provider::K3d, None),
            stopped(Provider::Kind, Some(name.clone())),
            stopped(Provider::Network, None),
            Failure::NodeStopped { node: name.clone() },
            Failure::UnknownContainer { name: name.clone(), network: name.clone(), nearest: no_nearest, known },
            Failure::GateSilent { gate: name.clone(), why: name.clone() },
            Failure::GateNotRunning { gate: name.clone(), state: name.clone() },
            Failure::GateNewer { gate: name.clone(), theirs: name.clone(), ours: "0.1.0" },
            Failure::Contended { cluster: name.clone() },
            Failure::GateEnded { gate: name.clone(), said: name },
            Failure::Interrupted,
        ]
    }

    fn of_ports(&self) -> Vec<Failure> {
        let (address, cluster) = ("127.0.0.1:80".parse().unwrap(), Some(self.text()));
        let selector = Selector::parse("80").unwrap();
        vec![
            Failure::UdpByApi { target: self.target() },
            Failure::NotByApi { target: self.target() },
            Failure::NoBackend { why: NoBackend::NoEndpoint { object: self.object() } },
            Failure::NoBackend { why: NoBackend::Unknown { object: self.object(), problem: self.text() } },
            Failure::NeedsRoute { target: self.target() },
            Failure::PortTaken { local: local(), address, holder: self.text() },
            Failure::PortPrivileged { local: local() },
            Failure::NoAddress { address, source: self.io() },
            Failure::Many { count: 300 },
            Failure::NotOpen { selector: selector.clone(), cluster: cluster.clone(), open: vec![local()] },
            Failure::NotOpen { selector, cluster: cluster.clone(), open: Vec::new() },
            Failure::NothingOpen { cluster },
            Failure::Unproven { broken: 1, opened: 2 },
            Failure::Broken { broken: 1, tested: 2 },
            Failure::WorseThanBefore { target: self.target(), why: self.text() },
        ]
    }
}

fn local() -> Local {
    Local { addresses: HostAddresses::loopback(), port: Port::new(80).unwrap(), protocol: Protocol::Tcp }
}

#[test]
fn every_failure_is_sampled() {
    let sampled: BTreeSet<&str> = Foreign("x").failures().iter().map(name).collect();
    assert_eq!(sampled, NAMES.iter().copied().collect());
}

#[test]
fn text_from_outside_forges_no_error_and_no_hint() {
    for text in hostile::texts() {
        for failure in Foreign(&text).failures() {
            let printed = view::failed(Style::new(), "error", &failure);
            let printed = printed.replace("\u{1b}[1m\u{1b}[36m", "").replace("\u{1b}[0m", "");
            let lines: Vec<&str> = printed.lines().collect();
            let expected = if failure.hint().is_some() { 2 } else { 1 };
            assert_eq!(lines.len(), expected, "{}: {printed:?}", name(&failure));
            assert!(lines[0].starts_with("error: "), "{printed}");
            assert!(lines.get(1).is_none_or(|hint| hint.starts_with("hint: ")), "{printed}");
            for line in &lines {
                hostile::assert_is_line(line);
            }
        }
    }
}

#[test]
fn a_hint_is_never_empty() {
    for failure in Foreign("x").failures() {
        assert_ne!(failure.hint().as_deref().map(str::trim), Some(""), "{}", name(&failure));
    }
    let busy = gates::SweepError::Engine(call::Error::TimedOut {
        action: Action { operation: "wait for", object: "g-sweep".to_owned() },
        limit: std::time::Duration::from_secs(10),
    });
    assert!(Failure::from(busy).hint().is_some_and(|hint| hint.contains("docker ps")));
}
