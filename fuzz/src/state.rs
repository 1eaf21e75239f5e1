//! A gate's state file.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use portgate_core::control::Change;
use portgate_core::state::GateState;
use portgate_core::table::{self, Means, View};

use crate::Target;
use crate::json::assert_comes_back;

/// `core::state`, and the table that follows from the state
pub const TARGET: Target = Target { name: "state", check, growth: 400 };

fn check(data: &[u8]) -> bool {
    match GateState::from_json(data, "gate.json") {
        Ok(state) => {
            check_state(&state);
            true
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            false
        }
    }
}

/// Checks that a state can be kept, changed, and carried.
pub(crate) fn check_state(state: &GateState) {
    assert_comes_back(state);
    let changed = state.changed(&Change::default());
    assert_ne!(changed.revision, state.revision);
    assert_eq!(changed.mappings.len(), state.mappings.len());
    let nodes: Vec<String> = state.nodes.iter().map(|node| node.name.clone()).collect();
    let address = IpAddr::V4(Ipv4Addr::new(172, 18, 0, 2));
    let seen = nodes.iter().map(|node| (node.clone(), vec![address])).collect::<BTreeMap<_, _>>();
    for means in [Means::Network { routes: true }, Means::Network { routes: false }, Means::Api] {
        let view = View { nodes: &nodes, seen: &seen, objects: &state.objects, means, own: Some(&state.machine) };
        for (local, resolution) in table::build(&state.mappings, view) {
            assert!(!local.to_string().is_empty());
            match resolution {
                Ok(backends) => assert!(!backends.is_empty(), "{local} leads nowhere, and does not say why"),
                Err(why) => assert!(!why.to_string().is_empty()),
            }
        }
    }
}
