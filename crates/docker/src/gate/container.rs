//! A gate as the engine shows it.

use std::fmt;

use bollard::models::{
    ContainerInspectResponse, ContainerState, ContainerStateStatusEnum as Status, HealthStatusEnum as HealthStatus,
    HostConfig, Mount, MountType,
};
use jiff::Timestamp;
use portgate_core::cluster::{ClusterId, Provider};
use portgate_core::mapping::Local;
use portgate_core::status::{Datapath, Placement};

use crate::image::STATE_DIRECTORY;
use crate::labels;
use crate::published;
use crate::trust::{ImageLabels, Reason};

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
    /// The image's reference, which may name another image by now.
    pub image: String,
    /// The image's id.
    pub image_id: String,
    /// The volume that holds its state file.
    pub volume: String,
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

/// The labels that make a container a gate. An image has none of them.
const CLAIMS: [&str; 4] = [labels::CLUSTER, labels::PROVIDER, labels::NETWORK, labels::PLACEMENT];

/// How the command of every gate begins, after its entry point.
const COMMAND: [&str; 2] = ["gate", "run"];

/// The network mode of a container in the host's network.
const HOST_NETWORK: &str = "host";

/// The gate that a container is, or why it is none. `image` has the labels of its image, unless that is gone.
///
/// Every version makes gates with these labels, this command, a volume for the state and a read-only root. The last two
/// are of no image's choosing, so a gate is known even if its image is gone.
pub(crate) fn from_inspection(
    container: ContainerInspectResponse,
    image: Option<&ImageLabels>,
) -> Result<GateContainer, Reason> {
    let config = container.config.ok_or(Reason::Incomplete)?;
    let labels = config.labels.unwrap_or_default();
    let label = |label| labels.get(label).cloned().ok_or(Reason::Label { label });
    for claim in CLAIMS {
        if image.is_some_and(|image| image.get(claim) == labels.get(claim) && image.contains_key(claim)) {
            return Err(Reason::ImageLabel { label: claim });
        }
    }
    let provider = label(labels::PROVIDER)?;
    let provider = Provider::from_name(&provider).ok_or(Reason::Label { label: labels::PROVIDER })?;
    if !config.cmd.unwrap_or_default().iter().map(String::as_str).take(COMMAND.len()).eq(COMMAND) {
        return Err(Reason::Command);
    }
    let host = container.host_config.ok_or(Reason::Incomplete)?;
    let volume = state_volume(&host).ok_or(Reason::Volume)?;
    if host.readonly_rootfs != Some(true) {
        return Err(Reason::WritableRoot);
    }
    let placement = placement(&label(labels::PLACEMENT)?);
    let in_host = host.network_mode.as_deref() == Some(HOST_NETWORK);
    if placement.is_some_and(|placement| (placement == Placement::Host) != in_host) {
        return Err(Reason::Placement);
    }
    let state = container.state.ok_or(Reason::Incomplete)?;
    let created = container.created.and_then(|created| created.parse().ok());
    Ok(GateContainer {
        id: container.id.ok_or(Reason::Incomplete)?,
        name: container.name.ok_or(Reason::Incomplete)?.trim_start_matches('/').to_owned(),
        cluster: ClusterId { provider, name: label(labels::CLUSTER)? },
        network: label(labels::NETWORK)?,
        placement,
        datapath: label(labels::DATAPATH).ok().and_then(|name| Datapath::from_name(&name)).unwrap_or(Datapath::Relay),
        version: label(labels::VERSION)?,
        image: config.image.ok_or(Reason::Incomplete)?,
        image_id: container.image.ok_or(Reason::Incomplete)?,
        volume,
        state: run_state(&state),
        health: health(&state),
        published: published::from_bindings(&host.port_bindings.unwrap_or_default()),
        created: created.ok_or(Reason::Incomplete)?,
    })
}

/// The volume that whoever made the container put where a gate keeps its state. An image can ask for a volume there, and
/// cannot choose which; the engine lists that elsewhere.
fn state_volume(host: &HostConfig) -> Option<String> {
    let is_state =
        |mount: &&Mount| mount.typ == Some(MountType::VOLUME) && mount.target.as_deref() == Some(STATE_DIRECTORY);
    let mount = host.mounts.iter().flatten().find(is_state).and_then(|mount| mount.source.clone());
    let bind = || {
        host.binds.iter().flatten().find_map(|bind| {
            let mut parts = bind.split(':');
            let (source, target) = (parts.next()?, parts.next()?);
            (target == STATE_DIRECTORY && !source.starts_with('/')).then(|| source.to_owned())
        })
    };
    mount.or_else(bind).filter(|volume| !volume.is_empty())
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
    use serde_json::json;

    use super::*;

    const RUNNING: &str = r#"{"Status":"running","Running":true}"#;

    fn inspection(state: &str) -> serde_json::Value {
        let state: serde_json::Value = serde_json::from_str(state).unwrap();
        json!({
            "Id": "0123", "Name": "/k3d-my-portgate", "Created": "2026-07-01T12:00:00.123456789Z", "Image": "sha256:45",
            "State": state,
            "Config": {
                "Image": "portgate:0.1.0-0123456789ab", "Cmd": ["gate", "run", "--name", "k3d-my-portgate"],
                "Labels": {
                    "dev.portgate.cluster": "my", "dev.portgate.provider": "k3d", "dev.portgate.network": "k3d-my",
                    "dev.portgate.placement": "published", "dev.portgate.version": "0.1.0" },
            },
            "HostConfig": {
                "ReadonlyRootfs": true, "NetworkMode": "k3d-my",
                "Mounts": [{ "Type": "volume", "Source": "k3d-my-portgate", "Target": "/var/lib/portgate" }],
                "PortBindings": { "30999/tcp": [
                    { "HostIp": "127.0.0.1", "HostPort": "30999" }, { "HostIp": "::1", "HostPort": "30999" }] },
            },
        })
    }

    fn judged(inspection: serde_json::Value, image: &[(&'static str, &str)]) -> Result<GateContainer, String> {
        let image = image.iter().map(|&(label, value)| (label, value.to_owned())).collect();
        let found = serde_json::from_value(inspection).unwrap();
        from_inspection(found, Some(&ImageLabels::new(image))).map_err(|reason| reason.to_string())
    }

    fn gate(state: &str) -> GateContainer {
        judged(inspection(state), &[]).unwrap()
    }

    #[test]
    fn a_stopped_gate_still_says_what_it_publishes() {
        let gate = gate(r#"{"Status":"exited","Running":false,"ExitCode":137,"Health":{"Status":"unhealthy"}}"#);
        assert_eq!(gate.name, "k3d-my-portgate");
        assert_eq!(gate.state, RunState::Exited { status: 137 });
        assert_eq!(gate.health, None);
        let [published] = gate.published.as_slice() else { panic!("one port") };
        assert_eq!(published.to_string(), "localhost:30999/tcp");
        assert_eq!(gate.created.to_string(), "2026-07-01T12:00:00.123456789Z");
    }

    #[test]
    fn a_running_gate_has_a_health() {
        let gate = gate(r#"{"Status":"running","Running":true,"Health":{"Status":"healthy"}}"#);
        assert_eq!((gate.state, gate.health), (RunState::Running, Some(Health::Healthy)));
        assert_eq!(gate.placement, Some(Placement::Published));
    }

    #[test]
    fn a_gate_without_a_datapath_uses_the_relay() {
        assert_eq!(gate(RUNNING).datapath, Datapath::Relay);
    }

    #[test]
    fn a_gate_is_known_by_labels_of_its_own() {
        let image = [("dev.portgate.version", "0.1.0"), ("dev.portgate.cluster", "another")];
        assert_eq!(judged(inspection(RUNNING), &image).unwrap().volume, "k3d-my-portgate");
        for image in [("dev.portgate.cluster", "my"), ("dev.portgate.placement", "published")] {
            let expected = format!("its label {} comes from its image", image.0);
            assert_eq!(judged(inspection(RUNNING), &[image]).unwrap_err(), expected);
        }
    }

    #[test]
    fn a_gate_whose_image_is_gone_is_known_by_how_it_was_made() {
        let found = serde_json::from_value(inspection(RUNNING)).unwrap();
        assert_eq!(from_inspection(found, None).unwrap().name, "k3d-my-portgate");
    }

    #[test]
    fn what_portgate_did_not_make_is_no_gate() {
        let cases = [
            ("/Config/Labels/dev.portgate.network", json!(null), "gives no gate such a label dev.portgate.network"),
            ("/Config/Labels/dev.portgate.provider", json!("swarm"), "such a label dev.portgate.provider"),
            ("/Config/Cmd", json!(["sleep", "1000"]), "its command is not that of a gate"),
            ("/Config/Cmd", json!(["gate"]), "its command is not that of a gate"),
            ("/HostConfig/Mounts", json!([]), "it has no volume for a gate's state"),
            ("/HostConfig/Mounts/0/Type", json!("bind"), "it has no volume for a gate's state"),
            ("/HostConfig/ReadonlyRootfs", json!(false), "its root file system is not read-only"),
            ("/HostConfig/NetworkMode", json!("host"), "the network that its label dev.portgate.placement names"),
            ("/Config/Labels/dev.portgate.placement", json!("host"), "that its label dev.portgate.placement names"),
            ("/State", json!(null), "the engine does not describe it"),
        ];
        for (path, value, expected) in cases {
            let mut changed = inspection(RUNNING);
            match changed.pointer_mut(path) {
                Some(place) => *place = value,
                None => panic!("{path}"),
            }
            let labels = changed["Config"]["Labels"].as_object_mut().unwrap();
            labels.retain(|_, value| !value.is_null());
            let reason = judged(changed, &[]).unwrap_err();
            assert!(reason.contains(expected), "{path}: {reason}");
        }
        assert_eq!(from_inspection(ContainerInspectResponse::default(), None), Err(Reason::Incomplete));
    }

    #[test]
    fn a_volume_may_be_named_as_docker_run_does() {
        let mut bound = inspection(RUNNING);
        bound["HostConfig"]["Mounts"] = json!(null);
        bound["HostConfig"]["Binds"] = json!(["/home/me:/var/lib/portgate"]);
        assert!(judged(bound.clone(), &[]).is_err());
        bound["HostConfig"]["Binds"] = json!(["/run:/run", "state:/var/lib/portgate:rw"]);
        assert_eq!(judged(bound, &[]).unwrap().volume, "state");
    }
}
