//! No kernel path: there is one on Linux only.

use std::collections::BTreeMap;

use portgate_core::cluster::ClusterId;
use portgate_core::control::Detail;
use portgate_core::mapping::Local;
use portgate_core::status::{Counters, RelayReason};
use portgate_core::table::Table;

use crate::settings::Place;

/// The relay carries all.
pub(crate) struct Overlay;

/// What happens to rules: never anything, as there are none.
#[expect(dead_code, reason = "it has the shape that it has on Linux")]
pub(crate) enum Change {
    Admitted,
    Touched,
}

impl Overlay {
    pub(crate) fn off(_place: &Place) -> Self {
        Self
    }

    pub(crate) fn follow(&mut self, _place: &Place, _cluster: &ClusterId, _bridge: Option<&str>) -> bool {
        false
    }

    pub(crate) fn has_routes(&self) -> bool {
        false
    }

    pub(crate) fn apply(&mut self, _table: &Table) {}

    pub(crate) fn relay_reason(&self, _local: &Local) -> Option<RelayReason> {
        Some(RelayReason::Process)
    }

    pub(crate) fn counters(&mut self, _detail: Detail) -> BTreeMap<Local, Counters> {
        BTreeMap::new()
    }

    pub(crate) async fn next(&mut self) -> Change {
        std::future::pending().await
    }

    pub(crate) fn is_busy(&mut self) -> bool {
        false
    }

    pub(crate) fn mend(&mut self) {}

    pub(crate) fn end(&mut self) {}
}
