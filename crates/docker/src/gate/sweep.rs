//! Removing what a dead gate left on the host, from a container that may do so and then goes.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;

use bollard::errors::Error as ClientError;
use bollard::models::{ContainerCreateBody, ContainerInspectResponse, HostConfig};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, EventsOptionsBuilder, InspectContainerOptions, WaitContainerOptionsBuilder,
};
use futures_util::{StreamExt, TryStreamExt};
use portgate_core::cluster::ClusterId;
use portgate_core::status::Datapath;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};

use super::container::{RunState, run_state};
use super::control::Complaint;
use super::form::GATE_DOCKER_SOCKET;
use super::logs::{LogOptions, Output};
use super::readonly;
use super::spec::{log_config, strings};
use crate::call::{self, CHANGE, Call, QUESTION, is_conflict, is_missing};
use crate::engine::Engine;
use crate::labels;

/// Where the sweeper finds the host's `/run`.
const RUN: &str = "/host/run";

/// How often a sweeper is made anew that another process removed.
const ATTEMPTS: u32 = 10;

/// How long the name may be taken by others, one after the other.
const TURNS: Duration = Duration::from_mins(2);

/// When to try a name again that is taken by a container which does not exist yet: the engine is making it.
const PAUSE: Duration = Duration::from_millis(50);

/// How long another process may take from making its sweeper to the sweeper's end.
const START: Duration = Duration::from_secs(5);

/// How long another process may take to remove its sweeper that has ended.
const REMOVAL: Duration = Duration::from_secs(1);

/// How many lines of a sweeper's log tell why it failed.
const LAST_LINES: u64 = 100;

/// As long ago as the engine remembers, in seconds since 1970.
const EVER: &str = "1";

/// What a sweeper's container is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SweepSpec {
    /// The name of the gate whose leavings are to go.
    pub gate: String,
    /// The cluster that it served.
    pub cluster: ClusterId,
    /// The bridge of the cluster's network, if it is known.
    pub bridge: Option<String>,
    /// The image's reference or id.
    pub image: String,
    /// The engine's socket on its own machine, if the gate's container and its cluster's volume are to go first.
    pub burial: Option<PathBuf>,
}

/// Why nothing was swept.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The sweeper failed.
    #[error("{container} failed (exit status {status}): {complaint}")]
    Failed {
        /// The sweeper's name.
        container: String,
        /// The exit status; above 128 for a signal.
        status: i64,
        /// What it wrote to standard error.
        complaint: String,
    },
    /// The engine did not do it.
    #[error(transparent)]
    Engine(#[from] call::Error),
}

impl Error {
    /// What may mend it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Failed { .. } => None,
            Self::Engine(error) => error.hint(),
        }
    }
}

impl SweepSpec {
    fn container(&self) -> String {
        format!("{}-sweep", self.gate)
    }

    /// The body of `POST /containers/create`.
    fn create_body(&self) -> ContainerCreateBody {
        let provider = self.cluster.provider.name();
        let mut command = vec!["gate", "sweep", "--cluster-provider", provider, "--cluster-name", &self.cluster.name];
        if let Some(bridge) = &self.bridge {
            command.extend(["--bridge", bridge]);
        }
        command.extend(["--run", RUN]);
        let mut binds = vec![format!("/run:{RUN}")];
        if let Some(socket) = &self.burial {
            command.extend(["--gate", &self.gate]);
            binds.push(format!("{}:{GATE_DOCKER_SOCKET}", socket.display()));
        }
        ContainerCreateBody {
            image: Some(self.image.clone()),
            user: Some("0:0".to_owned()),
            cmd: Some(strings(&command)),
            labels: Some(HashMap::from([(labels::SWEEP.to_owned(), self.cluster.name.clone())])),
            host_config: Some(HostConfig {
                network_mode: Some("host".to_owned()),
                ipc_mode: Some("none".to_owned()),
                cap_drop: Some(strings(&["ALL"])),
                cap_add: Some(strings(&["NET_ADMIN"])),
                security_opt: Some(strings(&["no-new-privileges"])),
                readonly_rootfs: Some(true),
                readonly_paths: Some(readonly::paths(Datapath::Kernel)),
                binds: Some(binds),
                auto_remove: self.burial.is_some().then_some(true),
                log_config: Some(log_config()),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        }
    }
}

impl Engine {
    /// Removes what a gate in host placement that is gone left on the host: waits for another sweeper of the same gate,
    /// then runs one.
    pub async fn sweep(&self, spec: &SweepSpec) -> Result<(), Error> {
        let name = spec.container();
        let mut attempts = 1..ATTEMPTS;
        loop {
            let id = self.create_sweeper(&name, spec).await?;
            let sweeper = Sweeper { engine: self, id: Some(id) };
            match sweeper.run(&name).await {
                // Another process took it for a stale one.
                Err(Error::Engine(error)) if is_unusable(&error) && attempts.next().is_some() => {}
                result => return result,
            }
        }
    }

    /// Removes a gate, its volume and what it left, by a container that nobody waits for and that removes itself: for a
    /// gate whose cluster is gone, which would be started again if it just ended.
    pub async fn bury(&self, gate: &str, cluster: &ClusterId) -> Result<(), call::Error> {
        let inspection = self.docker.inspect_container(gate, None::<InspectContainerOptions>);
        let found = Call::new("inspect container", gate, QUESTION).make(inspection).await?;
        let binds = found.host_config.and_then(|config| config.binds).unwrap_or_default();
        let suffix = format!(":{GATE_DOCKER_SOCKET}");
        let spec = SweepSpec {
            gate: gate.to_owned(),
            cluster: cluster.clone(),
            bridge: None,
            image: found.image.unwrap_or_default(),
            burial: binds.iter().find_map(|bind| bind.strip_suffix(&suffix)).map(PathBuf::from),
        };
        let sweeper = self.create_sweeper(&spec.container(), &spec).await?;
        self.start(&sweeper).await
    }

    async fn create_sweeper(&self, name: &str, spec: &SweepSpec) -> Result<String, call::Error> {
        let end = Instant::now() + TURNS;
        loop {
            let options = CreateContainerOptionsBuilder::new().name(name).build();
            let creation = self.docker.create_container(Some(options), spec.create_body());
            match Call::new("create container", name, CHANGE).make(creation).await {
                Ok(created) => return Ok(created.id),
                Err(error) if is_conflict(&error) && Instant::now() < end => self.make_way(name, error).await?,
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits for the end of a sweeper that another process made, and removes it if that process does not. A container that
    /// is no sweeper keeps its name, which is the conflict.
    async fn make_way(&self, name: &str, conflict: call::Error) -> Result<(), call::Error> {
        let inspection = self.docker.inspect_container(name, None::<InspectContainerOptions>);
        let found = match Call::new("inspect container", name, QUESTION).make(inspection).await {
            Err(error) if is_missing(&error) => {
                sleep(PAUSE).await;
                return Ok(());
            }
            found => found?,
        };
        if !is_sweeper(&found) {
            return Err(conflict);
        }
        let id = found.id.unwrap_or_default();
        let end = match found.state.as_ref().map(run_state) {
            Some(RunState::Created) => self.end_of(&id, "next-exit", START).await,
            Some(RunState::Running | RunState::Paused) => self.end_of(&id, "not-running", CHANGE).await,
            Some(RunState::Restarting | RunState::Exited { .. } | RunState::Dead) | None => Ok(0),
        };
        match end {
            Err(error) if is_missing(&error) => return Ok(()),
            Ok(_) | Err(call::Error::TimedOut { .. }) => {}
            Err(error) => return Err(error),
        }
        if self.removal_of(&id).await.is_ok() {
            return Ok(());
        }
        match self.remove(&id, false).await {
            Err(error) if is_conflict(&error) => Ok(()),
            result => result,
        }
    }

    /// Waits until a container is removed, if that is soon or has been. What the engine itself offers for this ends when
    /// the removal begins, and the name is not free then.
    async fn removal_of(&self, id: &str) -> Result<(), call::Error> {
        let filters = HashMap::from([("container", vec![id]), ("event", vec!["destroy"])]);
        let options = EventsOptionsBuilder::new().since(EVER).filters(&filters).build();
        let mut events = Box::pin(self.docker.events(Some(options)));
        let removed = async { events.try_next().await.map(drop) };
        Call::new("wait for the removal of", id, REMOVAL).make(removed).await
    }

    /// Waits for a container's end, and returns its exit status.
    async fn end_of(&self, container: &str, condition: &str, limit: Duration) -> Result<i64, call::Error> {
        let options = WaitContainerOptionsBuilder::new().condition(condition).build();
        let mut end = Box::pin(self.docker.wait_container(container, Some(options)));
        let status = async {
            match end.next().await {
                Some(Ok(end)) => Ok(end.status_code),
                Some(Err(ClientError::DockerContainerWaitError { code, .. })) => Ok(code),
                Some(Err(error)) => Err(error),
                None => Err(ClientError::from(io::Error::from(io::ErrorKind::UnexpectedEof))),
            }
        };
        Call::new("wait for container", container, limit).make(status).await
    }

    /// The last of what a container wrote to standard error.
    async fn complaint(&self, container: &str) -> Result<String, call::Error> {
        let options = LogOptions { tail: Some(LAST_LINES), ..LogOptions::default() };
        let complaint = Complaint::default();
        let mut log = pin!(self.logs(container, options));
        while let Some(chunk) = log.try_next().await? {
            if chunk.output == Output::Stderr {
                complaint.add(&chunk.bytes);
            }
        }
        Ok(complaint.text())
    }
}

/// Whether a container is one that [`SweepSpec`] describes: a name alone does not make it one, nor does a label.
fn is_sweeper(container: &ContainerInspectResponse) -> bool {
    let Some((config, host)) = container.config.as_ref().zip(container.host_config.as_ref()) else { return false };
    let is_labelled = config.labels.as_ref().is_some_and(|labels| labels.contains_key(labels::SWEEP));
    let command = config.cmd.iter().flatten().map(String::as_str).take(2);
    let is_made_so = host.readonly_rootfs == Some(true) && host.network_mode.as_deref() == Some("host");
    is_labelled && is_made_so && command.eq(["gate", "sweep"])
}

/// Whether a container is gone, or on its way out.
fn is_unusable(error: &call::Error) -> bool {
    is_missing(error) || is_conflict(error)
}

/// A sweeper's container, which is removed even if nobody waits for its end any more.
struct Sweeper<'a> {
    engine: &'a Engine,
    id: Option<String>,
}

impl Sweeper<'_> {
    async fn run(mut self, name: &str) -> Result<(), Error> {
        let Some(id) = self.id.clone() else { return Ok(()) };
        let result = self.work(&id, name).await;
        let removal = self.engine.remove(&id, true).await;
        self.id = None;
        result?;
        match removal {
            Err(error) if !is_conflict(&error) => Err(error.into()),
            _ => Ok(()),
        }
    }

    async fn work(&self, id: &str, name: &str) -> Result<(), Error> {
        self.engine.start(id).await?;
        let status = self.engine.end_of(id, "not-running", CHANGE).await?;
        if status == 0 {
            return Ok(());
        }
        let complaint = self.engine.complaint(id).await?;
        Err(Error::Failed { container: name.to_owned(), status, complaint })
    }
}

impl Drop for Sweeper<'_> {
    fn drop(&mut self) {
        if let (Some(id), Ok(runtime)) = (self.id.take(), Handle::try_current()) {
            let engine = self.engine.clone();
            runtime.spawn(async move { engine.remove(&id, true).await });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portgate_core::cluster::Provider;

    #[test]
    fn a_sweeper_is_no_gate_and_may_do_what_sweeping_takes() {
        let spec = SweepSpec {
            gate: "k3d-my-portgate".to_owned(),
            cluster: ClusterId { provider: Provider::K3d, name: "my".to_owned() },
            bridge: Some("br-0123456789ab".to_owned()),
            image: "portgate:0.1.0-0123456789ab".to_owned(),
            burial: None,
        };
        let mut body = serde_json::to_value(spec.create_body()).unwrap();
        body["HostConfig"]["ReadonlyPaths"] = "see readonly.rs".into();
        insta::assert_snapshot!(serde_json::to_string_pretty(&body).unwrap(), @r#"
        {
          "Cmd": [
            "gate",
            "sweep",
            "--cluster-provider",
            "k3d",
            "--cluster-name",
            "my",
            "--bridge",
            "br-0123456789ab",
            "--run",
            "/host/run"
          ],
          "HostConfig": {
            "Binds": [
              "/run:/host/run"
            ],
            "CapAdd": [
              "NET_ADMIN"
            ],
            "CapDrop": [
              "ALL"
            ],
            "IpcMode": "none",
            "LogConfig": {
              "Config": {
                "max-file": "3",
                "max-size": "10m"
              },
              "Type": "json-file"
            },
            "NetworkMode": "host",
            "ReadonlyPaths": "see readonly.rs",
            "ReadonlyRootfs": true,
            "SecurityOpt": [
              "no-new-privileges"
            ]
          },
          "Image": "portgate:0.1.0-0123456789ab",
          "Labels": {
            "dev.portgate.sweep": "my"
          },
          "User": "0:0"
        }
        "#);
    }
}
