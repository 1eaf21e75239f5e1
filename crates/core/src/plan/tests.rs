use insta::assert_snapshot;
use proptest::prelude::*;

use super::*;
use crate::cluster::Provider;
use crate::spec;

fn cluster() -> ClusterId {
    ClusterId { provider: Provider::K3d, name: "c".to_owned() }
}

fn mappings(specs: &str) -> Vec<Mapping> {
    specs.split_whitespace().flat_map(spec::mappings).collect()
}

/// A gate that publishes `published`, of which `open` are open.
fn gate(name: &str, published: &str, open: &str) -> RunningGate {
    let published = mappings(published).into_iter().map(|mapping| mapping.local).collect();
    let placement = Placement::Published;
    RunningGate { name: name.to_owned(), placement, revision: 7, published, mappings: mappings(open) }
}

/// A gate in the host's network.
fn host_gate(open: &str) -> RunningGate {
    RunningGate { placement: Placement::Host, ..gate("k3d-c-portgate", "", open) }
}

fn steps(wanted: &str, running: &[RunningGate]) -> String {
    steps_in(Placement::Published, wanted, running)
}

fn steps_in(placement: Placement, wanted: &str, running: &[RunningGate]) -> String {
    let names: Vec<String> = running.iter().map(|gate| gate.name.clone()).collect();
    let steps = plan(&cluster(), &mappings(wanted), running, &names, placement);
    steps.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn in_the_hosts_network_one_gate_carries_all_and_changes_while_it_runs() {
    let steps = |wanted, running: &[RunningGate]| steps_in(Placement::Host, wanted, running);
    assert_snapshot!(steps("127.0.0.1:30999:30999 127.0.0.2:30999:30999", &[]), @"create container k3d-c-portgate (host placement): open 127.0.0.1:30999/tcp -> 30999, 127.0.0.2:30999/tcp -> 30999");
    assert_snapshot!(steps("30999 8080:80 30998/udp", &[host_gate("30999")]), @"change container k3d-c-portgate: open localhost:8080/tcp -> 80, localhost:30998/udp -> 30998");
    assert_snapshot!(steps("30998", &[host_gate("30999 30998")]), @"change container k3d-c-portgate: close localhost:30999/tcp -> 30999");
    assert_snapshot!(steps("", &[host_gate("30999")]), @"remove container k3d-c-portgate: close localhost:30999/tcp -> 30999");
    assert_snapshot!(steps_in(Placement::Published, "30999 8080:80", &[host_gate("30999")]), @"change container k3d-c-portgate: open localhost:8080/tcp -> 80");
}

#[test]
fn the_first_ports_get_the_first_gate() {
    assert_snapshot!(steps("30999 30998/udp", &[]),
        @"create container k3d-c-portgate (published placement): open localhost:30999/tcp -> 30999, localhost:30998/udp -> 30998");
}

#[test]
fn a_new_port_gets_a_further_gate_and_touches_no_other() {
    let running = [gate("k3d-c-portgate", "30999", "30999")];
    assert_snapshot!(steps("30999 30379", &running),
        @"create container k3d-c-portgate-2 (published placement): open localhost:30379/tcp -> 30379");
}

#[test]
fn what_is_open_already_changes_nothing() {
    assert_eq!(steps("30999", &[gate("k3d-c-portgate", "30999", "30999")]), "");
}

#[test]
fn a_closed_port_is_reopened_where_it_is_still_published() {
    let running = [gate("k3d-c-portgate", "30999 30998/udp", "30999")];
    assert_snapshot!(steps("30999 30998:1/udp", &running),
        @"change container k3d-c-portgate: open localhost:30998/udp -> 1");
}

#[test]
fn the_last_close_removes_the_gate_and_an_earlier_one_does_not() {
    let running = [gate("k3d-c-portgate", "30999 30998/udp", "30999 30998/udp")];
    assert_snapshot!(steps("30999", &running),
        @"change container k3d-c-portgate: close localhost:30998/udp -> 30998");
    assert_snapshot!(steps("", &running),
        @"remove container k3d-c-portgate: close localhost:30999/tcp -> 30999, localhost:30998/udp -> 30998");
}

#[test]
fn of_a_great_many_mappings_the_first_are_shown() {
    assert_snapshot!(steps("30000-30400", &[]),
        @"create container k3d-c-portgate (published placement): open localhost:30000/tcp -> 30000, localhost:30001/tcp -> 30001, localhost:30002/tcp -> 30002 and 398 more");
}

#[test]
fn removals_come_before_creations() {
    let running = [gate("k3d-c-portgate", "1 2", "1 2"), gate("k3d-c-portgate-2", "3", "3")];
    assert_snapshot!(steps("1 4", &running), @"
    remove container k3d-c-portgate-2: close localhost:3/tcp -> 3
    change container k3d-c-portgate: close localhost:2/tcp -> 2
    create container k3d-c-portgate-3 (published placement): open localhost:4/tcp -> 4
    ");
}

#[test]
fn the_same_port_on_two_addresses_needs_two_containers() {
    assert_snapshot!(steps("127.0.0.1:80:1 127.0.0.2:80:2 80/udp", &[]), @"
    create container k3d-c-portgate (published placement): open 127.0.0.1:80/tcp -> 1, localhost:80/udp -> 80
    create container k3d-c-portgate-2 (published placement): open 127.0.0.2:80/tcp -> 2
    ");
}

#[test]
fn collisions_are_told_apart() {
    let open = mappings("30999");
    assert_eq!(with(&open, &mappings("30999 30999")).unwrap(), open);
    let conflict = with(&open, &mappings("30999:1")).unwrap_err();
    assert_snapshot!(conflict,
        @"localhost:30999/tcp -> 1 collides with localhost:30999/tcp -> 30999, which is open already");
    let conflict = with(&open, &mappings("0.0.0.0:30999")).unwrap_err();
    assert!(matches!(conflict, Conflict::Open { .. }));
    let conflict = with(&open, &mappings("80:1 80:2")).unwrap_err();
    assert_snapshot!(conflict, @"localhost:80/tcp -> 2 collides with localhost:80/tcp -> 1: both were asked for");
    assert_eq!(with(&open, &mappings("30999/udp")).unwrap().len(), 2);
}

/// Applies a plan as the program would.
fn apply(steps: Vec<Step>, mut running: Vec<RunningGate>) -> Vec<RunningGate> {
    for step in steps {
        match step {
            Step::Create { gate, placement, open } => {
                let published = open.iter().map(|mapping| mapping.local.clone()).collect();
                running.push(RunningGate { name: gate, placement, revision: 1, published, mappings: open });
            }
            Step::Change { gate, open, close, .. } => {
                let gate = running.iter_mut().find(|running| running.name == gate).unwrap();
                gate.mappings.retain(|mapping| !close.contains(mapping));
                let live = gate.placement == Placement::Host;
                assert!(live || open.iter().all(|mapping| gate.published.contains(&mapping.local)));
                gate.mappings.extend(open);
            }
            Step::Remove { gate, .. } => running.retain(|running| running.name != gate),
        }
    }
    running
}

fn wanted_ports() -> impl Strategy<Value = Vec<Mapping>> {
    proptest::collection::btree_set(1u16..12, 0..8)
        .prop_map(|ports| ports.iter().flat_map(|port| mappings(&port.to_string())).collect())
}

proptest! {
    #[test]
    fn any_sequence_of_wishes_comes_true(
        wishes in proptest::collection::vec(wanted_ports(), 1..6),
        placement in prop_oneof![Just(Placement::Host), Just(Placement::Published)],
    ) {
        let mut running = Vec::new();
        for wanted in wishes {
            let names: Vec<String> = running.iter().map(|gate: &RunningGate| gate.name.clone()).collect();
            let steps = plan(&cluster(), &wanted, &running, &names, placement);
            running = apply(steps, running);
            let mut carried: Vec<Mapping> = running.iter().flat_map(|gate| gate.mappings.clone()).collect();
            carried.sort();
            prop_assert_eq!(&carried, &wanted);
            prop_assert!(running.iter().all(|gate| !gate.mappings.is_empty()));
            prop_assert!(plan(&cluster(), &wanted, &running, &[], placement).is_empty());
        }
    }
}
