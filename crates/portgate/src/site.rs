//! Where a cluster's gates run, and how their bytes travel.

use std::os::unix::fs::MetadataExt;

use portgate_core::cluster::ClusterId;
use portgate_core::mapping::Local;
use portgate_core::status::{Datapath, Placement};
use portgate_core::table::{Forbidden, OwnAddresses};
use portgate_docker::engine::{Engine, EngineInfo};
use portgate_docker::gate::{GateContainer, GateForm, HostForm};
use portgate_gate::own;
use portgate_gate::paths::host_socket;

use crate::args::{DatapathArgument, PlacementArgument};
use crate::failure::Failure;

/// Where gates run, and how their bytes travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Site {
    pub(crate) placement: Placement,
    pub(crate) datapath: Datapath,
}

impl Site {
    /// What was asked for, completed by what suits the engine.
    pub(crate) fn choose(
        info: &EngineInfo,
        placement: Option<PlacementArgument>,
        datapath: Option<DatapathArgument>,
    ) -> Result<Self, Failure> {
        let placement = placement.map_or_else(|| info.default_placement(), Placement::from);
        if placement == Placement::Host
            && let Some(why) = info.why_not_host()
        {
            return Err(Failure::NoHostPlacement(why));
        }
        let usual = if placement == Placement::Host { Datapath::Kernel } else { Datapath::Relay };
        Ok(Self { placement, datapath: datapath.map_or(usual, Datapath::from) })
    }

    /// The addresses of this machine, which a gate there cannot find out itself and must not lead to.
    pub(crate) fn machine(self, engine: &Engine) -> Result<OwnAddresses, Failure> {
        if self.placement == Placement::Published { own_addresses(engine) } else { Ok(OwnAddresses::default()) }
    }

    /// Where a gate runs that is there.
    pub(crate) fn of(gate: &GateContainer) -> Self {
        Self { placement: gate.placement.unwrap_or(Placement::Published), datapath: gate.datapath }
    }

    /// What a gate's container is to be there.
    pub(crate) fn form(self, engine: &Engine, cluster: &ClusterId, published: Vec<Local>) -> Result<GateForm, Failure> {
        if self.placement != Placement::Host {
            return Ok(GateForm::Published { ports: published, datapath: self.datapath });
        }
        let docker_socket = engine.socket_path().ok_or(Failure::NoCluster)?.to_owned();
        let metadata = std::fs::metadata(&docker_socket)
            .map_err(Failure::system(format!("examine {}", docker_socket.display())))?;
        let (control_socket, socket_group) = (host_socket(cluster), metadata.gid());
        Ok(GateForm::Host(HostForm { docker_socket, control_socket, socket_group, datapath: self.datapath }))
    }
}

/// The addresses of this machine, if the engine runs on it.
pub(crate) fn own_addresses(engine: &Engine) -> Result<OwnAddresses, Failure> {
    if !engine.endpoint().is_local() {
        return Ok(OwnAddresses::default());
    }
    own::addresses(Forbidden::Host).map_err(Failure::system("read this machine's addresses"))
}
