//! portgate from end to end: the real program, a real Docker engine, real sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
// What holds wherever the gates are is tested in each placement: its file is two modules.
#![allow(clippy::duplicate_mod)]

mod choosing;
mod client;
mod crowd;
mod datapaths;
mod demo;
mod down;
mod engine;
mod engine_restart;
mod flows;
mod foreign_kubeconfig;
mod forward;
mod forward_life;
mod forward_refusals;
mod forward_trouble;
mod further;
mod gate_restart;
mod help;
mod host;
mod host_events;
mod host_recovery;
mod hostile;
mod hostile_server;
mod kubernetes;
mod leavings;
mod live;
mod many;
mod migration;
mod mute;
mod names;
mod newer;
mod nodes;
mod own_host;
mod placed;
mod processes;
mod reach;
mod recovery;
mod refusals;
mod restrictions;
mod rules;
mod service_changes;
mod stream;
mod support;
mod worker;

/// What holds wherever the gates are, with published ports.
#[path = "."]
mod published {
    use crate::support::cluster;

    mod close;
    mod lifecycle;
    mod listing;
    mod load;
    mod open;
    mod own_addresses;
    mod services;
    mod state;
    mod taken;
    mod testing;
    mod together;
    mod traffic;
    mod unproven;
}

/// The same, with gates where portgate puts them by default.
#[path = "."]
mod by_default {
    use crate::support::host_cluster as cluster;

    mod close;
    mod lifecycle;
    mod listing;
    mod load;
    mod open;
    mod own_addresses;
    mod services;
    mod state;
    mod taken;
    mod testing;
    mod together;
    mod traffic;
    mod unproven;
}
