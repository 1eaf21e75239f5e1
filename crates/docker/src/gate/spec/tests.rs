use super::super::form::HostForm;
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
        form: GateForm::published(vec![local(30999, Protocol::Tcp), local(53, Protocol::Udp)]),
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
      "Env": [
        "MALLOC_ARENA_MAX=2",
        "MALLOC_MMAP_THRESHOLD_=131072",
        "MALLOC_TRIM_THRESHOLD_=131072"
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
        "dev.portgate.datapath": "relay",
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

fn host(datapath: Datapath) -> GateSpec {
    let docker_socket = "/var/run/docker.sock".into();
    GateSpec {
        form: GateForm::Host(HostForm {
            docker_socket,
            control_socket: "/run/portgate/k3d-my/control.sock".into(),
            socket_group: 103,
            datapath,
        }),
        ..spec(Provider::K3d)
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "the whole of what the engine is told")]
fn the_engine_is_told_everything_of_a_gate_in_the_hosts_network() {
    insta::assert_snapshot!(serde_json::to_string_pretty(&body(&host(Datapath::Kernel))).unwrap(), @r#"
    {
      "Cmd": [
        "gate",
        "run",
        "--name",
        "k3d-my-portgate",
        "--placement",
        "host",
        "--datapath",
        "kernel",
        "--network",
        "k3d-my"
      ],
      "Env": [
        "MALLOC_ARENA_MAX=2",
        "MALLOC_MMAP_THRESHOLD_=131072",
        "MALLOC_TRIM_THRESHOLD_=131072",
        "PORTGATE_SOCKET=/run/portgate/k3d-my/control.sock"
      ],
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
        "Binds": [
          "/var/run/docker.sock:/run/docker.sock",
          "/run/portgate:/run/portgate"
        ],
        "CapAdd": [
          "NET_ADMIN",
          "NET_BIND_SERVICE",
          "SETUID",
          "SETGID"
        ],
        "CapDrop": [
          "ALL"
        ],
        "GroupAdd": [
          "103"
        ],
        "IpcMode": "none",
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
        "NetworkMode": "host",
        "ReadonlyPaths": [
          "/dev/mqueue",
          "/proc/bus",
          "/proc/fs",
          "/proc/irq",
          "/proc/sysrq-trigger",
          "/proc/sys/abi",
          "/proc/sys/crypto",
          "/proc/sys/debug",
          "/proc/sys/dev",
          "/proc/sys/fs",
          "/proc/sys/kernel",
          "/proc/sys/sunrpc",
          "/proc/sys/user",
          "/proc/sys/vm",
          "/proc/sys/net/bridge",
          "/proc/sys/net/core",
          "/proc/sys/net/ipv6",
          "/proc/sys/net/mpls",
          "/proc/sys/net/mptcp",
          "/proc/sys/net/netfilter",
          "/proc/sys/net/sctp",
          "/proc/sys/net/smc",
          "/proc/sys/net/unix"
        ],
        "ReadonlyRootfs": true,
        "RestartPolicy": {
          "Name": "unless-stopped"
        },
        "SecurityOpt": [
          "no-new-privileges"
        ]
      },
      "Image": "portgate:0.1.0-0123456789ab",
      "Labels": {
        "app": "k3d",
        "dev.portgate.cluster": "my",
        "dev.portgate.datapath": "kernel",
        "dev.portgate.network": "k3d-my",
        "dev.portgate.placement": "host",
        "dev.portgate.provider": "k3d",
        "dev.portgate.version": "0.1.0",
        "k3d.cluster": "my",
        "k3d.cluster.network": "k3d-my",
        "k3d.role": "noRole"
      },
      "StopTimeout": 10,
      "User": "0:0"
    }
    "#);
}

#[test]
fn a_relay_has_no_say_in_the_hosts_network() {
    let body = body(&host(Datapath::Relay));
    assert_eq!(body["HostConfig"]["CapAdd"], serde_json::json!(["NET_BIND_SERVICE", "SETUID", "SETGID"]));
    assert!(body["HostConfig"]["ReadonlyPaths"].as_array().unwrap().contains(&"/proc/sys".into()));
    assert_eq!(body["Cmd"].as_array().unwrap()[6..8], ["--datapath", "relay"]);
    assert_eq!(body["Labels"]["dev.portgate.datapath"], "relay");
}

#[test]
fn a_published_gate_may_programme_its_own_network() {
    let spec = spec(Provider::K3d);
    let GateForm::Published { ports, .. } = spec.form.clone() else { panic!("published") };
    let relay = body(&spec);
    let kernel = body(&GateSpec { form: GateForm::Published { ports, datapath: Datapath::Kernel }, ..spec });
    assert_eq!(kernel["Cmd"].as_array().unwrap()[4..], ["--datapath", "kernel"]);
    assert_eq!((&kernel["User"], &relay["User"]), (&"0:0".into(), &"65534:65534".into()));
    let [mut kernel, relay] = [kernel, relay].map(|body| body["HostConfig"].clone());
    assert_eq!(kernel["CapAdd"], serde_json::json!(["NET_ADMIN", "SETUID", "SETGID"]));
    assert_eq!(kernel["Sysctls"]["net.ipv4.ip_forward"], "1");
    assert_eq!(kernel["Sysctls"]["net.ipv4.conf.all.src_valid_mark"], "1");
    for changed in ["CapAdd", "Sysctls", "Tmpfs"] {
        kernel[changed] = relay[changed].clone();
    }
    kernel.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    assert_eq!(kernel, relay);
}
