//! What can be typed after `portgate forward`: kubectl's own syntax, for several targets.

use std::net::IpAddr;
use std::time::Duration;

use clap::Args;
use portgate_core::kubernetes::{Kind, PortName};
use portgate_core::mapping::HostAddresses;
use portgate_core::port::Port;
use portgate_core::spec::{ListenerError, ObjectName, PortSpec, TargetSpec, listener};

use super::values::patience;
use super::{ApiArguments, ClusterArguments};
use crate::host_port;

/// Forward local ports to a Service, a pod or a workload, through the Kubernetes API server
///
/// It is what `kubectl port-forward` does, with its syntax, and it holds: a refused or reset connection ends that one
/// alone, a pod that goes is replaced by another, and a restart of the API server is waited for. Each TARGET is followed by
/// its ports: REMOTE, which listens on the same number, LOCAL:REMOTE, or :REMOTE for any free port; REMOTE may be a name.
///
/// It reaches every cluster that a kubeconfig does, and carries TCP only. `portgate open` is faster, and carries UDP, where
/// the cluster runs in Docker on this machine.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  portgate forward svc/traefik 30999:9999 -n traefik
  portgate forward deploy/web 8080:http 9090    two ports of the same pods
  portgate forward svc/a 8080:80 svc/b 9090:http
  portgate forward pod/db-0 :5432               any free local port
  portgate forward svc/web 8080:80 --detach     in the background: `portgate ls`, `portgate close 8080`")]
pub(crate) struct ForwardArguments {
    /// A target, as svc/NAME, pod/NAME, deploy/NAME, sts/NAME or ds/NAME, and its ports; a bare name is a pod
    #[arg(required = true, num_args = 2.., value_names = ["TARGET", "[LOCAL:]REMOTE"])]
    pub(crate) words: Vec<String>,
    /// Listen on these addresses, separated by commas; `localhost` is 127.0.0.1 and `[::1]`
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',', default_value = "localhost")]
    pub(crate) address: Vec<String>,
    /// Return when all ports listen and are proven; `portgate ls` shows them, `portgate close` ends them
    #[arg(short, long)]
    pub(crate) detach: bool,
    /// Keep to one pod for as long as it is ready, instead of another one for each connection
    #[arg(long)]
    pub(crate) sticky: bool,
    /// How long a new connection waits for a pod that is ready
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = patience)]
    pub(crate) wait_for_pod: Duration,
    #[command(flatten)]
    pub(crate) api: ApiArguments,
    #[command(flatten)]
    pub(crate) cluster: ClusterArguments,
}

/// One forward that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    /// What it leads to.
    pub(crate) spec: PortSpec,
    /// The local port.
    pub(crate) local: LocalPort,
}

/// Which local port is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LocalPort {
    /// This one.
    Port(Port),
    /// That of the target.
    Same,
    /// Any that is free.
    Any,
}

/// What was typed is not what kubectl would understand.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WordError {
    #[error("`{word}`: not a target")]
    Target { word: String },
    #[error("`{word}`: not a port")]
    Port { word: String },
    #[error("{target} has no port")]
    NoPort { target: String },
    #[error("`{word}`: not an IP address")]
    Address { word: String },
    #[error("`{word}`: {why}")]
    Listener { word: String, why: ListenerError },
    #[error("an address is missing")]
    NoAddress,
}

impl WordError {
    pub(crate) fn hint(&self) -> &'static str {
        match self {
            Self::Target { .. } => {
                "the targets are svc/NAME, pod/NAME, deploy/NAME, sts/NAME and ds/NAME; a bare name is a pod"
            }
            Self::Port { .. } => "a port is REMOTE, LOCAL:REMOTE or :REMOTE, as 8080, 8080:80, 8080:http or :80",
            Self::NoPort { .. } => "name its ports behind it, as svc/web 8080:80",
            Self::Listener { why, .. } => why.hint(),
            Self::Address { .. } | Self::NoAddress => "an address is 127.0.0.1, ::1 or localhost",
        }
    }
}

impl ForwardArguments {
    /// The targets, each with each of its ports, in the order in which they were typed.
    pub(crate) fn asked(&self) -> Result<Vec<Asked>, WordError> {
        let mut asked = Vec::new();
        let mut target: Option<((Kind, ObjectName), &str)> = None;
        let mut has_port = true;
        for (index, word) in self.words.iter().enumerate() {
            if index == 0 || word.contains('/') {
                if let (Some((_, before)), false) = (&target, has_port) {
                    return Err(WordError::NoPort { target: (*before).to_owned() });
                }
                target = Some((object(word)?, word));
                has_port = false;
            } else if let Some(((kind, name), _)) = &target {
                let (local, port) = port(word)?;
                let target = TargetSpec::Object { kind: *kind, name: name.clone(), port: Some(port) };
                let spec = PortSpec { bind: None, host: None, target, protocols: None };
                asked.push(Asked { spec, local });
                has_port = true;
            }
        }
        match target {
            Some((_, before)) if !has_port => Err(WordError::NoPort { target: before.to_owned() }),
            _ => Ok(asked),
        }
    }

    /// The addresses to listen on.
    pub(crate) fn addresses(&self) -> Result<HostAddresses, WordError> {
        let mut addresses: Vec<IpAddr> = Vec::new();
        for word in &self.address {
            match word.as_str() {
                "localhost" => addresses.extend(host_port::loopback().iter()),
                word => addresses.push(address(word)?),
            }
        }
        HostAddresses::try_from(addresses).map_err(|_| WordError::NoAddress)
    }
}

fn address(word: &str) -> Result<IpAddr, WordError> {
    if word.is_empty() {
        return Err(WordError::NoAddress);
    }
    let address = word.parse().map_err(|_| WordError::Address { word: word.to_owned() })?;
    listener(address).map_err(|why| WordError::Listener { word: word.to_owned(), why })
}

/// `svc/web`, `svc/web.shop`, or the name of a pod.
fn object(word: &str) -> Result<(Kind, ObjectName), WordError> {
    let target = if word.contains('/') { word.to_owned() } else { format!("pod/{word}") };
    // A target has its port behind a colon in the port syntax; here it stands apart.
    let spec = PortSpec::parse(&format!("{target}:1")).ok();
    match spec.map(|spec| spec.target) {
        Some(TargetSpec::Object { kind, name, .. }) => Ok((kind, name)),
        _ => Err(WordError::Target { word: word.to_owned() }),
    }
}

fn port(word: &str) -> Result<(LocalPort, PortName), WordError> {
    let wrong = || WordError::Port { word: word.to_owned() };
    // As the port of a target is written in the port syntax.
    let remote = |text: &str| match PortSpec::parse(&format!("svc/any:{text}")).map(|spec| spec.target) {
        Ok(TargetSpec::Object { port: Some(port), .. }) => Ok(port),
        _ => Err(wrong()),
    };
    match word.split_once(':') {
        None => Ok((LocalPort::Same, remote(word)?)),
        Some(("" | "0", text)) => Ok((LocalPort::Any, remote(text)?)),
        Some((local, text)) => {
            let local = local.parse().ok().and_then(Port::new).ok_or_else(wrong)?;
            Ok((LocalPort::Port(local), remote(text)?))
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: ForwardArguments,
    }

    fn arguments(line: &str) -> ForwardArguments {
        Line::try_parse_from(std::iter::once("forward").chain(line.split(' '))).unwrap().arguments
    }

    fn asked(line: &str) -> Vec<String> {
        let asked = arguments(line).asked().unwrap();
        asked.iter().map(|asked| format!("{:?} -> {}", asked.local, asked.spec)).collect()
    }

    fn refusal(line: &str) -> WordError {
        arguments(line).asked().unwrap_err()
    }

    #[test]
    fn the_syntax_is_that_of_kubectl() {
        assert_eq!(asked("svc/echo 30999:9999"), ["Port(Port(30999)) -> svc/echo:9999"]);
        assert_eq!(asked("web-0 8080 :http"), ["Same -> pod/web-0:8080", "Any -> pod/web-0:http"]);
        assert_eq!(asked("deployment/web 0:80"), ["Any -> deploy/web:80"]);
    }

    #[test]
    fn several_targets_have_each_their_ports() {
        let line = "svc/a 8080:80 81 svc/b.shop 9090:http";
        let expected = ["Port(Port(8080)) -> svc/a:80", "Same -> svc/a:81", "Port(Port(9090)) -> svc/b.shop:http"];
        assert_eq!(asked(line), expected);
    }

    #[test]
    fn what_is_no_target_and_no_port_is_named() {
        assert_eq!(refusal("ingress/web 80"), WordError::Target { word: "ingress/web".to_owned() });
        assert_eq!(refusal("svc/web 80:90:100"), WordError::Port { word: "80:90:100".to_owned() });
        assert_eq!(refusal("svc/web 70000"), WordError::Port { word: "70000".to_owned() });
        assert_eq!(refusal("svc/web 80:"), WordError::Port { word: "80:".to_owned() });
        assert_eq!(refusal("svc/a svc/b 80"), WordError::NoPort { target: "svc/a".to_owned() });
    }

    #[test]
    fn addresses_are_separated_by_commas() {
        let addresses = |line: &str| arguments(line).addresses().map(|addresses| addresses.to_string());
        assert_eq!(addresses("svc/a 80 --address 10.0.0.7,127.0.0.1").unwrap(), "10.0.0.7,127.0.0.1");
        assert!(addresses("svc/a 80 --address nowhere").is_err());
        for missing in ["svc/a 80 --address=", "svc/a 80 --address 127.0.0.1,", "svc/a 80 --address ,"] {
            assert_eq!(addresses(missing).unwrap_err().to_string(), "an address is missing", "{missing}");
        }
        let refused = addresses("svc/a 80 --address 127.0.0.1,224.0.0.1").unwrap_err();
        assert_eq!(refused.to_string(), "`224.0.0.1`: cannot listen on a multicast address");
    }
}
