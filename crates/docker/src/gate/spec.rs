//! What a gate's container is to be, and how the engine is told so.

use std::collections::HashMap;
use std::time::Duration;

use bollard::models::{
    ContainerCreateBody, EndpointSettings, HealthConfig, HostConfig, HostConfigLogConfig, Mount, MountType,
    NetworkingConfig, RestartPolicy, RestartPolicyNameEnum,
};
use portgate_core::cluster::{ClusterId, Provider};
use portgate_core::mapping::Local;
use portgate_core::status::Datapath;

use super::form::{GateForm, SOCKET_VARIABLE};
use super::neighbour::InterfaceSettings;
use crate::image::{EXECUTABLE, STATE_DIRECTORY};
use crate::labels;
use crate::published;

/// Has glibc's allocator give memory back, which by default keeps more the larger the pieces were that it was asked for:
/// a change of a thousand ports takes several MiB, for a moment. `mallopt(3)` describes the variables; sizes are in bytes.
const ALLOCATOR: [&str; 3] = ["MALLOC_ARENA_MAX=2", "MALLOC_MMAP_THRESHOLD_=131072", "MALLOC_TRIM_THRESHOLD_=131072"];

/// How long Docker waits for a gate to drain before it kills it: twice what a gate takes at most.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// How often Docker asks a gate for its health.
const HEALTH_INTERVAL: Duration = Duration::from_secs(30);

/// How long the answer may take.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a failure is forgiven after the start.
const HEALTH_START: Duration = Duration::from_secs(5);

/// After how many failures in a row a gate is unhealthy.
const HEALTH_RETRIES: i64 = 3;

/// The longest host name that Linux takes is 64 bytes; DNS takes one less.
const HOST_NAME: usize = 63;

/// What a gate's container is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateSpec {
    /// The container's name, and the name of its state file.
    pub name: String,
    /// The cluster.
    pub cluster: ClusterId,
    /// The cluster's network.
    pub network: String,
    /// portgate's version.
    pub version: String,
    /// The image's reference.
    pub image: String,
    /// The volume that holds the state file.
    pub volume: String,
    /// Where it runs, and with which rights.
    pub form: GateForm,
}

impl GateSpec {
    /// The body of `POST /containers/create`.
    pub(super) fn create_body(&self, settings: InterfaceSettings) -> ContainerCreateBody {
        let user = self.form.user();
        let common = ContainerCreateBody {
            image: Some(self.image.clone()),
            user: Some(format!("{user}:{user}")),
            cmd: Some(self.form.command(&self.name, &self.network)),
            env: Some(self.environment()),
            labels: Some(self.labels()),
            healthcheck: Some(health_check()),
            stop_timeout: Some(whole_seconds(STOP_GRACE)),
            host_config: Some(self.host_config(settings)),
            ..ContainerCreateBody::default()
        };
        match &self.form {
            GateForm::Published { ports, .. } => ContainerCreateBody {
                hostname: Some(self.name.chars().take(HOST_NAME).collect()),
                exposed_ports: Some(published::exposed(ports)),
                networking_config: settings.driver_options().map(|options| self.networking_config(options)),
                ..common
            },
            GateForm::Host(_) => common,
        }
    }

    fn environment(&self) -> Vec<String> {
        let mut environment = strings(&ALLOCATOR);
        if let GateForm::Host(form) = &self.form {
            environment.push(format!("{SOCKET_VARIABLE}={}", form.control_socket.display()));
        }
        environment
    }

    fn networking_config(&self, driver_options: HashMap<String, String>) -> NetworkingConfig {
        let endpoint = EndpointSettings { driver_opts: Some(driver_options), ..EndpointSettings::default() };
        NetworkingConfig { endpoints_config: Some(HashMap::from([(self.network.clone(), endpoint)])) }
    }

    fn host_config(&self, settings: InterfaceSettings) -> HostConfig {
        let common = HostConfig {
            restart_policy: Some(RestartPolicy {
                name: Some(RestartPolicyNameEnum::UNLESS_STOPPED),
                maximum_retry_count: None,
            }),
            cap_drop: Some(strings(&["ALL"])),
            cap_add: self.form.capabilities(),
            security_opt: Some(strings(&["no-new-privileges"])),
            readonly_rootfs: Some(true),
            mounts: Some(vec![Mount {
                typ: Some(MountType::VOLUME),
                source: Some(self.volume.clone()),
                target: Some(STATE_DIRECTORY.to_owned()),
                ..Mount::default()
            }]),
            log_config: Some(log_config()),
            ..HostConfig::default()
        };
        match &self.form {
            GateForm::Published { ports, .. } => self.on_network(ports, settings, common),
            GateForm::Host(form) => form.host_config(common),
        }
    }

    /// What published placement adds to the configuration of every gate.
    fn on_network(&self, ports: &[Local], settings: InterfaceSettings, common: HostConfig) -> HostConfig {
        let user = self.form.user();
        let run = format!("rw,noexec,nosuid,nodev,size=1m,uid={user},gid={user},mode=0700");
        // The gate's own ports may be below 1024, and it has no capability for them.
        let mut sysctls = map(&[("net.ipv4.ip_unprivileged_port_start", "0")]);
        sysctls.extend(settings.sysctl());
        if self.form.datapath() == Datapath::Kernel {
            // The second one: packets that a route leads here are to be expected from where that route leads.
            sysctls.extend(map(&[("net.ipv4.ip_forward", "1"), ("net.ipv4.conf.all.src_valid_mark", "1")]));
        }
        HostConfig {
            network_mode: Some(self.network.clone()),
            port_bindings: Some(published::to_bindings(ports)),
            tmpfs: Some(map(&[("/run", &run)])),
            sysctls: Some(sysctls),
            dns_options: Some(strings(&["timeout:1", "attempts:2"])),
            ..common
        }
    }

    /// The k3d labels make `k3d cluster stop` and `k3d cluster delete` take the gate along.
    fn labels(&self) -> HashMap<String, String> {
        let mut labels = map(&[
            (labels::CLUSTER, &self.cluster.name),
            (labels::PROVIDER, self.cluster.provider.name()),
            (labels::NETWORK, &self.network),
            (labels::PLACEMENT, self.form.placement().name()),
            (labels::DATAPATH, self.form.datapath().name()),
            (labels::VERSION, &self.version),
        ]);
        if self.cluster.provider == Provider::K3d {
            labels.extend(map(&[
                ("app", "k3d"),
                ("k3d.cluster", &self.cluster.name),
                ("k3d.cluster.network", &self.network),
                ("k3d.role", "noRole"),
            ]));
        }
        labels
    }
}

fn health_check() -> HealthConfig {
    HealthConfig {
        test: Some(strings(&["CMD", EXECUTABLE, "gate", "health"])),
        interval: Some(nanoseconds(HEALTH_INTERVAL)),
        timeout: Some(nanoseconds(HEALTH_TIMEOUT)),
        start_period: Some(nanoseconds(HEALTH_START)),
        retries: Some(HEALTH_RETRIES),
        start_interval: None,
    }
}

/// A log that can be read, whatever the engine's default, and that has an end.
pub(super) fn log_config() -> HostConfigLogConfig {
    let limits = map(&[("max-size", "10m"), ("max-file", "3")]);
    HostConfigLogConfig { typ: Some("json-file".to_owned()), config: Some(limits) }
}

pub(super) fn strings(list: &[&str]) -> Vec<String> {
    list.iter().map(|&text| text.to_owned()).collect()
}

fn map(pairs: &[(&str, &str)]) -> HashMap<String, String> {
    pairs.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn nanoseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

fn whole_seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
