//! What a gate says of itself.

use portgate_core::control::Detail;
use portgate_core::mapping::Mapping;
use portgate_core::status::{Counters, Datapath, GateStatus, MappingState, MappingStatus, RelayReason};

use crate::gate::Gate;

impl Gate {
    /// What the gate carries, and has carried.
    pub(crate) async fn status(&mut self, detail: Detail) -> GateStatus {
        let mut relayed = self.plane.counters(self.table.keys()).await;
        for refused in self.plane.refusals() {
            self.refused(refused);
        }
        let mut carried = self.overlay.counters(detail);
        let status = |mapping: &Mapping| {
            let mut counters = relayed.remove(&mapping.local).unwrap_or_default();
            counters += carried.remove(&mapping.local).unwrap_or_default();
            self.mapping_status(mapping, counters)
        };
        GateStatus {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            placement: self.place.placement(),
            started_at: self.started_at,
            revision: self.state.revision,
            mappings: self.state.mappings.iter().map(status).collect(),
        }
    }

    fn mapping_status(&self, mapping: &Mapping, counters: Counters) -> MappingStatus {
        let resolution = self.table.get(&mapping.local).cloned().unwrap_or_else(|| Ok(Vec::new()));
        let (backends, state) = match (resolution, self.silent.why(&mapping.local)) {
            (resolution, Some(message)) => {
                (resolution.unwrap_or_default(), MappingState::NotListening { message: message.to_owned() })
            }
            (Ok(backends), None) => (backends, MappingState::Open),
            (Err(why), None) => (Vec::new(), MappingState::NoBackend { why }),
        };
        let relay_because = match self.silent.why(&mapping.local) {
            Some(_) => Some(RelayReason::NotListening),
            None => self.overlay.relay_reason(&mapping.local),
        };
        MappingStatus {
            local: mapping.local.clone(),
            target: mapping.target.clone(),
            backends,
            datapath: if relay_because.is_none() { Datapath::Kernel } else { Datapath::Relay },
            relay_because,
            state,
            counters,
        }
    }
}
