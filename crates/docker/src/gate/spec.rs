//! What a gate's container is to be, and how the engine is told so.

use std::collections::HashMap;
use std::time::Duration;

use bollard::models::{
    ContainerCreateBody, EndpointSettings, HealthConfig, HostConfig, HostConfigLogConfig, Mount, MountType,
    NetworkingConfig, RestartPolicy, RestartPolicyNameEnum,
};
use portgate_core::cluster::{ClusterId, Provider};
use portgate_core::mapping::Local;
use portgate_core::status::Placement;

use super::neighbour::InterfaceSettings;
use crate::image::{EXECUTABLE, NOBODY, STATE_DIRECTORY};
use crate::labels;
use crate::published;

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

/// A gate in published placement: a container on the cluster's network, without any privilege.
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
    /// The ports to publish, exactly so.
    pub published: Vec<Local>,
}

impl GateSpec {
    /// The body of `POST /containers/create`.
    pub(super) fn create_body(&self, settings: InterfaceSettings) -> ContainerCreateBody {
        ContainerCreateBody {
            image: Some(self.image.clone()),
            hostname: Some(self.name.chars().take(HOST_NAME).collect()),
            user: Some(format!("{NOBODY}:{NOBODY}")),
            cmd: Some(strings(&["gate", "run", "--name", &self.name])),
            labels: Some(self.labels()),
            exposed_ports: Some(published::exposed(&self.published)),
            healthcheck: Some(health_check()),
            stop_timeout: Some(whole_seconds(STOP_GRACE)),
            host_config: Some(self.host_config(settings)),
            networking_config: settings.driver_options().map(|options| self.networking_config(options)),
            ..ContainerCreateBody::default()
        }
    }

    fn networking_config(&self, driver_options: HashMap<String, String>) -> NetworkingConfig {
        let endpoint = EndpointSettings { driver_opts: Some(driver_options), ..EndpointSettings::default() };
        NetworkingConfig { endpoints_config: Some(HashMap::from([(self.network.clone(), endpoint)])) }
    }

    fn host_config(&self, settings: InterfaceSettings) -> HostConfig {
        let log = [("max-size", "10m"), ("max-file", "3")];
        let run = format!("rw,noexec,nosuid,nodev,size=1m,uid={NOBODY},gid={NOBODY},mode=0700");
        HostConfig {
            network_mode: Some(self.network.clone()),
            port_bindings: Some(published::to_bindings(&self.published)),
            restart_policy: Some(RestartPolicy {
                name: Some(RestartPolicyNameEnum::UNLESS_STOPPED),
                maximum_retry_count: None,
            }),
            cap_drop: Some(strings(&["ALL"])),
            security_opt: Some(strings(&["no-new-privileges"])),
            readonly_rootfs: Some(true),
            tmpfs: Some(map(&[("/run", &run)])),
            mounts: Some(vec![Mount {
                typ: Some(MountType::VOLUME),
                source: Some(self.volume.clone()),
                target: Some(STATE_DIRECTORY.to_owned()),
                ..Mount::default()
            }]),
            // The gate's own ports may be below 1024, and it has no capability.
            sysctls: Some(
                map(&[("net.ipv4.ip_unprivileged_port_start", "0")]).into_iter().chain(settings.sysctl()).collect(),
            ),
            dns_options: Some(strings(&["timeout:1", "attempts:2"])),
            log_config: Some(HostConfigLogConfig { typ: Some("json-file".to_owned()), config: Some(map(&log)) }),
            ..HostConfig::default()
        }
    }

    /// The k3d labels make `k3d cluster stop` and `k3d cluster delete` take the gate along.
    fn labels(&self) -> HashMap<String, String> {
        let mut labels = map(&[
            (labels::CLUSTER, &self.cluster.name),
            (labels::PROVIDER, self.cluster.provider.name()),
            (labels::NETWORK, &self.network),
            (labels::PLACEMENT, Placement::Published.name()),
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

fn strings(list: &[&str]) -> Vec<String> {
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
mod tests {
    use super::*;
    use portgate_core::mapping::HostAddresses;
    use portgate_core::port::{Port, Protocol};

    fn spec(provider: Provider) -> GateSpec {
        let local =
            |port, protocol| Local { addresses: HostAddresses::loopback(), port: Port::new(port).unwrap(), protocol };
        GateSpec {
            name: "k3d-my-portgate".to_owned(),
            cluster: ClusterId { provider, name: "my".to_owned() },
            network: "k3d-my".to_owned(),
            version: "0.1.0".to_owned(),
            image: "portgate:0.1.0-0123456789ab".to_owned(),
            volume: "k3d-my-portgate".to_owned(),
            published: vec![local(30999, Protocol::Tcp), local(53, Protocol::Udp)],
        }
    }

    /// With sorted keys.
    fn body(spec: &GateSpec) -> serde_json::Value {
        serde_json::to_value(spec.create_body(InterfaceSettings::OfContainer)).unwrap()
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "the whole of what the engine is told")]
    fn the_engine_is_told_everything() {
        insta::assert_snapshot!(serde_json::to_string_pretty(&body(&spec(Provider::K3d))).unwrap(), @r#"
        {
          "Cmd": [
            "gate",
            "run",
            "--name",
            "k3d-my-portgate"
          ],
          "ExposedPorts": {
            "30999/tcp": {},
            "53/udp": {}
          },
          "Healthcheck": {
            "Interval": 30000000000,
            "Retries": 3,
            "StartPeriod": 5000000000,
            "Test": [
              "CMD",
              "/portgate",
              "gate",
              "health"
            ],
            "Timeout": 5000000000
          },
          "HostConfig": {
            "CapDrop": [
              "ALL"
            ],
            "DnsOptions": [
              "timeout:1",
              "attempts:2"
            ],
            "LogConfig": {
              "Config": {
                "max-file": "3",
                "max-size": "10m"
              },
              "Type": "json-file"
            },
            "Mounts": [
              {
                "Source": "k3d-my-portgate",
                "Target": "/var/lib/portgate",
                "Type": "volume"
              }
            ],
            "NetworkMode": "k3d-my",
            "PortBindings": {
              "30999/tcp": [
                {
                  "HostIp": "127.0.0.1",
                  "HostPort": "30999"
                },
                {
                  "HostIp": "::1",
                  "HostPort": "30999"
                }
              ],
              "53/udp": [
                {
                  "HostIp": "127.0.0.1",
                  "HostPort": "53"
                },
                {
                  "HostIp": "::1",
                  "HostPort": "53"
                }
              ]
            },
            "ReadonlyRootfs": true,
            "RestartPolicy": {
              "Name": "unless-stopped"
            },
            "SecurityOpt": [
              "no-new-privileges"
            ],
            "Sysctls": {
              "net.ipv4.ip_unprivileged_port_start": "0",
              "net.ipv4.neigh.eth0.retrans_time_ms": "100"
            },
            "Tmpfs": {
              "/run": "rw,noexec,nosuid,nodev,size=1m,uid=65534,gid=65534,mode=0700"
            }
          },
          "Hostname": "k3d-my-portgate",
          "Image": "portgate:0.1.0-0123456789ab",
          "Labels": {
            "app": "k3d",
            "dev.portgate.cluster": "my",
            "dev.portgate.network": "k3d-my",
            "dev.portgate.placement": "published",
            "dev.portgate.provider": "k3d",
            "dev.portgate.version": "0.1.0",
            "k3d.cluster": "my",
            "k3d.cluster.network": "k3d-my",
            "k3d.role": "noRole"
          },
          "StopTimeout": 10,
          "User": "65534:65534"
        }
        "#);
    }

    #[test]
    fn other_clusters_than_k3d_get_no_label_of_theirs() {
        let labels = body(&spec(Provider::Kind))["Labels"].clone();
        let foreign = labels.as_object().unwrap().keys().find(|key| !key.starts_with("dev.portgate."));
        assert_eq!(foreign, None);
    }

    #[test]
    fn a_newer_engine_takes_an_interfaces_settings_with_its_endpoint() {
        let body = serde_json::to_value(spec(Provider::K3d).create_body(InterfaceSettings::OfEndpoint)).unwrap();
        assert_eq!(
            body["NetworkingConfig"]["EndpointsConfig"]["k3d-my"]["DriverOpts"]["com.docker.network.endpoint.sysctls"],
            "net.ipv4.neigh.IFNAME.retrans_time_ms=100"
        );
        assert_eq!(body["HostConfig"]["Sysctls"].as_object().unwrap().len(), 1);
    }

    #[test]
    fn a_long_name_is_cut_to_a_host_name() {
        let spec = GateSpec { name: "n".repeat(100), ..spec(Provider::Network) };
        assert_eq!(spec.create_body(InterfaceSettings::Nowhere).hostname.unwrap().len(), HOST_NAME);
    }
}
