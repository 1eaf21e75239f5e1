//! Where a gate's mappings lead, by all that it knows.

use std::collections::BTreeMap;

use portgate_core::state::GateState;
use portgate_core::table::{self, Table, View};

use super::Gate;
use crate::observer::Observation;

impl Gate {
    /// The table of a state, by what is known now.
    pub(super) fn build(&self, state: &GateState) -> Table {
        self.view(state, |view| table::build(&state.mappings, view))
    }

    /// Logs which addresses targets have and are not led to, unless that was logged before.
    pub(super) fn warn_of_forbidden(&mut self) {
        let forbidden: BTreeMap<_, _> = self.view(&self.state, |view| {
            let each = self.state.mappings.iter();
            let each = each.map(|mapping| (mapping.local.clone(), view.forbidden(&mapping.target)));
            each.filter(|(_, forbidden)| !forbidden.is_empty()).collect()
        });
        for (local, addresses) in forbidden.iter().filter(|(local, now)| self.forbidden.get(local) != Some(now)) {
            let (count, first) = (addresses.len(), addresses.first_key_value());
            if let Some((address, why)) = first {
                tracing::warn!(%local, %address, %why, count, "the target has addresses that are not led to");
            }
        }
        self.forbidden = forbidden;
    }

    fn view<T>(&self, state: &GateState, look: impl FnOnce(View<'_>) -> T) -> T {
        let own = self.own.as_ref().map(|own| own.with(&state.machine));
        let objects = self.told.over(&state.objects);
        let Observation { nodes, addresses: seen, .. } = &self.seen;
        look(View { nodes, seen, objects: &objects, means: self.means, own: own.as_ref() })
    }
}
