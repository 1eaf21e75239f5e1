//! A gate as the engine shows it.

use std::fmt;

use bollard::models::{
    ContainerInspectResponse, ContainerState, ContainerStateStatusEnum as Status, HealthStatusEnum as HealthStatus,
};
use jiff::Timestamp;
use portgate_core::cluster::{ClusterId, Provider};
use portgate_core::mapping::Local;
use portgate_core::status::{Datapath, Placement};

use crate::labels;
use crate::published;

/// A gate's container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateContainer {
    /// The container's id.
    pub id: String,
    /// The container's name.
    pub name: String,
    /// The cluster that it serves.
    pub cluster: ClusterId,
    /// The cluster's network.
    pub network: String,
    /// Where it runs; none if a newer version of portgate made it in a way that this one does not know.
    pub placement: Option<Placement>,
    /// How its bytes are to travel, as it was asked for.
    pub datapath: Datapath,
    /// The version of portgate that made it.
    pub version: String,
    /// The image's reference.
    pub image: String,
    /// Whether it runs.
    pub state: RunState,
    /// What its own check says, while it runs.
    pub health: Option<Health>,
    /// The ports that it publishes when it runs.
    pub published: Vec<Local>,
    /// When it was made.
    pub created: Timestamp,
}

/// Whether a container runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RunState {
    /// Made, and never started.
    Created,
    /// Running.
    Running,
    /// Running, but frozen by `docker pause`.
    Paused,
    /// Between two runs: it ended by itself, and Docker starts it again.
    Restarting,
    /// Ended.
    Exited {
        /// The exit status; above 128 for a signal.
        status: i64,
    },
    /// Being removed, or left over from a removal that failed.
    Dead,
}

impl fmt::Display for RunState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Restarting => "restarting",
            Self::Exited { .. } => "exited",
            Self::Dead => "dead",
        })
    }
}

/// What a container's own check says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Health {
    /// Not checked yet.
    Starting,
    /// In order.
    Healthy,
    /// Failed several times in a row.
    Unhealthy,
}

/// None if the container lacks what every gate has.
pub(super) fn from_inspection(container: ContainerInspectResponse) -> Option<GateContainer> {
    let config = container.config?;
    let labels = config.labels?;
    let label = |key: &str| labels.get(key).cloned();
    let provider = Provider::from_name(&label(labels::PROVIDER)?)?;
    let state = container.state?;
    let bindings = container.host_config.and_then(|config| config.port_bindings).unwrap_or_default();
    Some(GateContainer {
        id: container.id?,
        name: container.name?.trim_start_matches('/').to_owned(),
        cluster: ClusterId { provider, name: label(labels::CLUSTER)? },
        network: label(labels::NETWORK)?,
        placement: placement(&label(labels::PLACEMENT)?),
        datapath: label(labels::DATAPATH).and_then(|name| Datapath::from_name(&name)).unwrap_or(Datapath::Relay),
        version: label(labels::VERSION)?,
        image: config.image?,
        state: run_state(&state),
        health: health(&state),
        published: published::from_bindings(&bindings),
        created: container.created?.parse().ok()?,
    })
}

fn placement(name: &str) -> Option<Placement> {
    Placement::from_name(name).filter(|placement| *placement != Placement::Process)
}

pub(super) fn run_state(state: &ContainerState) -> RunState {
    match state.status {
        Some(Status::CREATED) => RunState::Created,
        Some(Status::RUNNING | Status::STOPPING) => RunState::Running,
        Some(Status::PAUSED) => RunState::Paused,
        Some(Status::RESTARTING) => RunState::Restarting,
        Some(Status::EXITED) => RunState::Exited { status: state.exit_code.unwrap_or_default() },
        Some(Status::REMOVING | Status::DEAD | Status::EMPTY) | None => RunState::Dead,
    }
}

fn health(state: &ContainerState) -> Option<Health> {
    match state.health.as_ref()?.status? {
        _ if state.running != Some(true) => None,
        HealthStatus::STARTING => Some(Health::Starting),
        HealthStatus::HEALTHY => Some(Health::Healthy),
        HealthStatus::UNHEALTHY => Some(Health::Unhealthy),
        HealthStatus::EMPTY | HealthStatus::NONE => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(state: &str) -> Option<GateContainer> {
        let inspection = format!(
            r#"{{
                "Id": "0123", "Name": "/k3d-my-portgate", "Created": "2026-07-01T12:00:00.123456789Z",
                "State": {state},
                "Config": {{ "Image": "portgate:0.1.0-0123456789ab", "Labels": {{
                    "dev.portgate.cluster": "my", "dev.portgate.provider": "k3d", "dev.portgate.network": "k3d-my",
                    "dev.portgate.placement": "published", "dev.portgate.version": "0.1.0" }} }},
                "HostConfig": {{ "PortBindings": {{ "30999/tcp": [
                    {{ "HostIp": "127.0.0.1", "HostPort": "30999" }}, {{ "HostIp": "::1", "HostPort": "30999" }}] }} }}
            }}"#
        );
        from_inspection(serde_json::from_str(&inspection).unwrap())
    }

    #[test]
    fn a_stopped_gate_still_says_what_it_publishes() {
        let state = r#"{"Status":"exited","Running":false,"ExitCode":137,"Health":{"Status":"unhealthy"}}"#;
        let gate = gate(state).unwrap();
        assert_eq!(gate.name, "k3d-my-portgate");
        assert_eq!(gate.state, RunState::Exited { status: 137 });
        assert_eq!(gate.health, None);
        let [published] = gate.published.as_slice() else { panic!("one port") };
        assert_eq!(published.to_string(), "localhost:30999/tcp");
        assert_eq!(gate.created.to_string(), "2026-07-01T12:00:00.123456789Z");
    }

    #[test]
    fn a_running_gate_has_a_health() {
        let gate = gate(r#"{"Status":"running","Running":true,"Health":{"Status":"healthy"}}"#).unwrap();
        assert_eq!((gate.state, gate.health), (RunState::Running, Some(Health::Healthy)));
        assert_eq!(gate.placement, Some(Placement::Published));
    }

    #[test]
    fn a_gate_without_a_datapath_uses_the_relay() {
        let state = r#"{"Status":"running","Running":true}"#;
        assert_eq!(gate(state).unwrap().datapath, Datapath::Relay);
    }

    #[test]
    fn a_container_without_the_labels_is_no_gate() {
        assert_eq!(from_inspection(ContainerInspectResponse::default()), None);
    }
}
