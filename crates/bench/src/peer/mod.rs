//! The other proxies: where their programs are, how they are configured, and how they run.

mod config;
mod image;
mod program;

use std::fs;
use std::net::IpAddr;
use std::path::{Path as FilePath, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use portgate_docker::labels;

use crate::docker::docker;
use crate::path::Route;
use crate::process::Process;
use config::Hop;
use image::Contents;
use program::Program;

/// Another proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// haproxy, with `option splice-auto`.
    Haproxy,
    /// nginx, with its module for streams.
    Nginx,
    /// socat, with a process for each connection and each UDP client.
    Socat,
}

/// Where an image has the configuration.
const CONFIG: &str = "/peer.conf";

/// nginx's module for streams, below the directory of Debian's packages.
const STREAM_MODULE: &str = "usr/lib/nginx/modules/ngx_stream_module.so";

impl Peer {
    const fn name(self) -> &'static str {
        match self {
            Self::Haproxy => "haproxy",
            Self::Nginx => "nginx",
            Self::Socat => "socat",
        }
    }

    fn module(self) -> Option<PathBuf> {
        (self == Self::Nginx).then(|| PathBuf::from(STREAM_MODULE))
    }

    /// The configuration, or for socat the shell's script. `directory` is for temporary files.
    fn config(self, hops: &[Hop], module: &FilePath, directory: &FilePath) -> String {
        match self {
            Self::Haproxy => config::haproxy(hops),
            Self::Nginx => config::nginx(hops, module, directory),
            Self::Socat => config::socat(hops),
        }
    }

    fn arguments(self, config: &str) -> Vec<String> {
        let arguments: &[&str] = match self {
            Self::Haproxy => &["-db", "-f", config],
            Self::Nginx => &["-e", "stderr", "-c", config],
            Self::Socat => &[config],
        };
        arguments.iter().map(|&argument| argument.to_owned()).collect()
    }
}

/// The programs of the peers, as far as they are to be had.
#[derive(Clone, Debug)]
pub(crate) struct Peers {
    /// Where packages were unpacked that are not installed.
    pub(crate) unpacked: Option<PathBuf>,
    /// The name of the cluster, of which everything else's is made.
    pub(crate) cluster: String,
}

impl Peers {
    /// Starts a peer on the host: a plain process that listens on 127.0.0.1.
    pub(crate) fn on_host(
        &self,
        peer: Peer,
        directory: &FilePath,
        node: IpAddr,
        route: &Route,
    ) -> anyhow::Result<Process> {
        let program = self.find(peer.name())?;
        let module = peer.module().map(|module| self.module(&module)).unwrap_or_default();
        let hops: Vec<Hop> = route.ports().map(|(service, port)| Hop::on_host(service, port, node)).collect();
        let config = directory.join(format!("{}.conf", peer.name()));
        fs::write(&config, peer.config(&hops, &module, directory)).context("cannot write a configuration")?;
        let mut command: Command = program.command();
        command.args(peer.arguments(&config.to_string_lossy()));
        Process::start(command)
    }

    /// Starts a peer in a container on the cluster's network, with published ports.
    pub(crate) async fn published(&self, peer: Peer, network: &str, node: &str, route: &Route) -> anyhow::Result<()> {
        let hops: Vec<Hop> = route.ports().map(|(service, _)| Hop::in_container(service, node)).collect();
        let module = peer.module().map(|module| FilePath::new("/").join(module)).unwrap_or_default();
        let config = peer.config(&hops, &module, FilePath::new("/tmp"));
        let mut contents = Contents::new();
        contents.file(FilePath::new(CONFIG), config.as_bytes())?;
        let program = if peer == Peer::Socat {
            contents.program(&self.find("socat")?, FilePath::new("/usr/bin/socat"), &[])?;
            self.find("sh")?
        } else {
            self.find(peer.name())?
        };
        let modules: Vec<PathBuf> = peer.module().map(|module| self.module(&module)).into_iter().collect();
        contents.program(&program, FilePath::new("/peer"), &modules)?;
        for found in &modules {
            contents.copy(found, &module)?;
        }
        let reference = format!("{}:{}", self.cluster, peer.name());
        docker(&["import", "-", &reference], &contents.finish()?).await?;

        let name = format!("{}-{}", self.cluster, peer.name());
        let label = format!("{}={}", labels::DEMO, self.cluster);
        let publish = |(service, port): (crate::service::Service, u16)| {
            format!("127.0.0.1:{port}:{}/{}", service.port(), service.protocol())
        };
        let published: Vec<String> = route.ports().map(publish).collect();
        let command = peer.arguments(CONFIG);
        let mut arguments = vec!["run", "--detach", "--name", &name, "--label", &label, "--network", network];
        arguments.extend(published.iter().flat_map(|port| ["--publish", port]));
        arguments.extend([reference.as_str(), "/peer"]);
        arguments.extend(command.iter().map(String::as_str));
        docker(&arguments, b"").await.map(drop)
    }

    fn find(&self, name: &str) -> anyhow::Result<Program> {
        Program::find(name, self.unpacked.as_deref())
            .with_context(|| format!("{name} is not installed\nhint: `cargo xtask bench` gets it where apt-get can"))
    }

    fn module(&self, path: &FilePath) -> PathBuf {
        let unpacked = self.unpacked.as_ref().map(|root| root.join(path)).filter(|module| module.is_file());
        unpacked.unwrap_or_else(|| FilePath::new("/").join(path))
    }
}
