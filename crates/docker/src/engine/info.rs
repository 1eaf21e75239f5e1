//! What kind of engine it is.

use std::fmt;

use bollard::models::{SystemInfo, SystemVersion};

use portgate_core::status::Placement;

use super::Engine;
use super::machine::{Machine, NoHost, kernel_release};
use crate::call::{self, Call, QUESTION};
use crate::endpoint::Endpoint;

/// What kind of engine it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineInfo {
    /// The engine's version, such as `20.10.24`.
    pub version: String,
    /// The API's version, such as `1.41`.
    pub api_version: String,
    /// The operating system that containers see, such as `linux`.
    pub os: String,
    /// The processor architecture that images must have.
    pub architecture: Architecture,
    /// The engine's host name.
    pub name: String,
    /// Who made the engine.
    pub product: Product,
    /// Whether it runs without root, and so behind a network of its own.
    pub rootless: bool,
    /// Whether root in its containers is another user of its machine (`userns-remap`).
    pub remaps_users: bool,
    /// Whether it runs on this machine, so that what it publishes can be reached on localhost.
    pub local: bool,
    /// The machine whose network a container in the host's network has.
    pub machine: Machine,
}

/// Who made an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Product {
    /// Docker Engine, on the machine itself.
    Docker,
    /// Docker Desktop: Docker Engine in a virtual machine.
    DockerDesktop,
    /// Podman.
    Podman,
}

/// A processor architecture in Go's words, as image configurations have them: `amd64`, `arm64`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Architecture(String);

impl Architecture {
    /// From Go's name or the kernel's: `x86_64` is `amd64`, `aarch64` is `arm64`.
    pub fn new(name: &str) -> Self {
        Self(match name {
            "x86_64" => "amd64".to_owned(),
            "aarch64" => "arm64".to_owned(),
            other => other.to_owned(),
        })
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl EngineInfo {
    /// Where gates run unless the user says otherwise.
    pub fn default_placement(&self) -> Placement {
        if self.why_not_host().is_none() { Placement::Host } else { Placement::Published }
    }

    /// What keeps a gate from running in the network of this machine; none if nothing does.
    pub fn why_not_host(&self) -> Option<NoHost> {
        match (self.product, self.machine) {
            (Product::Podman, _) => Some(NoHost::Podman),
            (Product::DockerDesktop, _) => Some(NoHost::DockerDesktop),
            (Product::Docker, _) if self.os != "linux" => Some(NoHost::NotLinux),
            (Product::Docker, _) if self.rootless => Some(NoHost::Rootless),
            (Product::Docker, _) if self.remaps_users => Some(NoHost::UserNamespaces),
            (Product::Docker, Machine::Remote) => Some(NoHost::Remote),
            (Product::Docker, Machine::Virtual) => Some(NoHost::VirtualMachine),
            (Product::Docker, Machine::This) => None,
        }
    }
}

impl Engine {
    /// Asks what kind of engine it is.
    pub async fn info(&self) -> Result<EngineInfo, call::Error> {
        let (version, info) = tokio::try_join!(
            Call::new("ask for the engine's version", "", QUESTION).make(self.docker.version()),
            Call::new("ask for the engine's settings", "", QUESTION).make(self.docker.info()),
        )?;
        Ok(describe(version, info, &self.endpoint))
    }
}

fn describe(version: SystemVersion, info: SystemInfo, endpoint: &Endpoint) -> EngineInfo {
    let podman = version.components.iter().flatten().any(|component| component.name == "Podman Engine");
    let desktop = info.operating_system.as_deref() == Some("Docker Desktop");
    EngineInfo {
        version: version.version.unwrap_or_default(),
        api_version: version.api_version.unwrap_or_default(),
        os: version.os.unwrap_or_default(),
        architecture: Architecture::new(&version.arch.unwrap_or_default()),
        name: info.name.unwrap_or_default(),
        product: match (podman, desktop) {
            (true, _) => Product::Podman,
            (false, true) => Product::DockerDesktop,
            (false, false) => Product::Docker,
        },
        rootless: info.security_options.iter().flatten().any(|option| option == "name=rootless"),
        remaps_users: info.security_options.iter().flatten().any(|option| option == "name=userns"),
        local: endpoint.is_local(),
        machine: Machine::of(endpoint, info.kernel_version.as_deref(), kernel_release().as_deref()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(version: &str, info: &str) -> EngineInfo {
        let endpoint = Endpoint::Unix("/var/run/docker.sock".into());
        describe(serde_json::from_str(version).unwrap(), serde_json::from_str(info).unwrap(), &endpoint)
    }

    #[test]
    fn products_are_told_apart() {
        let docker = described(
            r#"{"Version":"20.10.24","ApiVersion":"1.41","Os":"linux","Arch":"amd64"}"#,
            r#"{"Name":"vm","OperatingSystem":"Debian GNU/Linux 12","SecurityOptions":["name=seccomp,profile=default"]}"#,
        );
        assert_eq!((docker.product, docker.rootless), (Product::Docker, false));
        assert_eq!(docker.architecture.as_str(), "amd64");

        let rootless = described("{}", r#"{"SecurityOptions":["name=seccomp,profile=default","name=rootless"]}"#);
        assert_eq!((rootless.product, rootless.rootless), (Product::Docker, true));

        let desktop = described("{}", r#"{"OperatingSystem":"Docker Desktop"}"#);
        assert_eq!(desktop.product, Product::DockerDesktop);

        let podman = described(r#"{"Components":[{"Name":"Podman Engine","Version":"4.9.3"}]}"#, "{}");
        assert_eq!(podman.product, Product::Podman);
    }

    #[test]
    fn architectures_have_one_name() {
        assert_eq!(Architecture::new("x86_64"), Architecture::new("amd64"));
        assert_eq!(Architecture::new("aarch64").to_string(), "arm64");
    }

    fn engine(product: Product, machine: Machine) -> EngineInfo {
        EngineInfo { product, machine, os: "linux".to_owned(), ..described("{}", "{}") }
    }

    #[test]
    fn a_gate_is_in_the_hosts_network_where_that_is_this_machines() {
        let native = engine(Product::Docker, Machine::This);
        assert_eq!((native.why_not_host(), native.default_placement()), (None, Placement::Host));

        let refused = [
            (engine(Product::Docker, Machine::Remote), NoHost::Remote),
            (engine(Product::Docker, Machine::Virtual), NoHost::VirtualMachine),
            (engine(Product::DockerDesktop, Machine::This), NoHost::DockerDesktop),
            (engine(Product::Podman, Machine::This), NoHost::Podman),
            (EngineInfo { rootless: true, ..native.clone() }, NoHost::Rootless),
            (EngineInfo { remaps_users: true, ..native.clone() }, NoHost::UserNamespaces),
            (EngineInfo { os: "windows".to_owned(), ..native }, NoHost::NotLinux),
        ];
        for (engine, why) in refused {
            assert_eq!((engine.why_not_host(), engine.default_placement()), (Some(why), Placement::Published));
        }
    }
}
