//! A table in nft syntax, as `nft --stateless --numeric-priority list table` prints it.

use std::fmt;

use crate::elements::{Elements, Purpose, Set, written};
use crate::ruleset::{Chain, Hook, Ruleset};

/// A ruleset with its elements.
pub(crate) struct Listing<'a> {
    ruleset: &'a Ruleset,
    elements: &'a Elements,
}

impl<'a> Listing<'a> {
    pub(crate) fn new(ruleset: &'a Ruleset, elements: &'a Elements) -> Self {
        Self { ruleset, elements }
    }
}

impl fmt::Display for Listing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "table ip {} {{", self.ruleset.identity.table())?;
        let contents = self.elements.sets();
        for set in &self.ruleset.sets {
            let content = contents.get(set).map(Vec::as_slice).unwrap_or_default();
            let elements: Vec<String> = content.iter().map(|(key, data)| written(key, *data)).collect();
            write_set(f, *set, &elements)?;
        }
        for chain in self.ruleset.chains(self.elements) {
            write_chain(f, chain)?;
        }
        writeln!(f, "}}")
    }
}

fn write_set(f: &mut fmt::Formatter<'_>, set: Set, elements: &[String]) -> fmt::Result {
    let address = if set.any { "" } else { "ipv4_addr . " };
    let slot = if set.purpose == Purpose::Many { " . mark" } else { "" };
    let (word, data) = if set.is_map() { ("map", " : ipv4_addr . inet_service") } else { ("set", "") };
    writeln!(f, "\t{word} {set} {{")?;
    writeln!(f, "\t\ttype {address}inet_proto . inet_service{slot}{data}")?;
    if set.counts() {
        writeln!(f, "\t\tcounter")?;
    }
    if !elements.is_empty() {
        writeln!(f, "\t\telements = {{ {} }}", elements.join(",\n\t\t\t     "))?;
    }
    writeln!(f, "\t}}\n")
}

fn write_chain(f: &mut fmt::Formatter<'_>, chain: &Chain) -> fmt::Result {
    let hook = match chain.hook {
        Hook::Prerouting => "prerouting",
        Hook::Output => "output",
        Hook::Postrouting => "postrouting",
    };
    writeln!(f, "\tchain {} {{", chain.name)?;
    writeln!(f, "\t\ttype {} hook {hook} priority {}; policy accept;", chain.kind.name(), chain.priority)?;
    for rule in &chain.rules {
        let rule: Vec<String> = rule.iter().map(ToString::to_string).collect();
        writeln!(f, "\t\t{}", rule.join(" "))?;
    }
    writeln!(f, "\t}}\n")
}

#[cfg(test)]
mod tests {
    use portgate_core::cluster::{ClusterId, Provider};

    use super::*;
    use crate::identity::{Identity, Place};
    use crate::plan::Plan;
    use crate::sample::table;

    /// The sets, and the chains, without tabs: inline snapshots have none.
    fn listing(place: &Place, mappings: &[(&str, &[&str])]) -> (String, String) {
        let identity = Identity::of(&ClusterId { provider: Provider::K3d, name: "demo".to_owned() });
        let elements = Elements::new(&Plan::new(place, &table(mappings)));
        let listing = Ruleset::new(identity, place).with(&elements).to_string().replace('\t', "    ");
        let (sets, chains) = listing.split_at(listing.find("    chain").unwrap());
        (sets.to_owned(), chains.to_owned())
    }

    fn in_the_hosts_network() -> (String, String) {
        listing(
            &Place::Host { bridge: "br-demo".to_owned() },
            &[
                ("127.0.0.1,::1:8080/tcp", &["172.18.0.2:30080"]),
                ("127.0.0.1,::1:8080/udp", &["172.18.0.2:30080", "172.18.0.3:30080"]),
                ("0.0.0.0:5432/tcp", &["10.43.0.10:5432 via 172.18.0.2"]),
                ("::1:9000/tcp", &["172.18.0.2:30090"]),
            ],
        )
    }

    fn in_a_container() -> (String, String) {
        listing(
            &Place::Container,
            &[("127.0.0.1:8080/tcp", &["172.18.0.2:30080"]), ("::1:53/udp", &["10.43.0.10:53 via 172.18.0.2"])],
        )
    }

    #[test]
    fn the_sets_in_the_hosts_network() {
        insta::assert_snapshot!(in_the_hosts_network().0, @r#"
        table ip portgate-k3d-demo {
            map one {
                type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service
                elements = { 127.0.0.1 . tcp . 8080 : 172.18.0.2 . 30080 }
            }

            map many {
                type ipv4_addr . inet_proto . inet_service . mark : ipv4_addr . inet_service
                elements = { 127.0.0.1 . udp . 8080 . 0x00000000 : 172.18.0.2 . 30080,
                         127.0.0.1 . udp . 8080 . 0x00000001 : 172.18.0.3 . 30080,
                         127.0.0.1 . udp . 8080 . 0x00000002 : 172.18.0.2 . 30080,
                         127.0.0.1 . udp . 8080 . 0x00000003 : 172.18.0.3 . 30080,
                         127.0.0.1 . udp . 8080 . 0x00000004 : 172.18.0.2 . 30080,
                         127.0.0.1 . udp . 8080 . 0x00000005 : 172.18.0.3 . 30080,
                         127.0.0.1 . udp . 8080 . 0x00000006 : 172.18.0.2 . 30080,
                         127.0.0.1 . udp . 8080 . 0x00000007 : 172.18.0.3 . 30080,
                         127.0.0.1 . udp . 8080 . 0x00000008 : 172.18.0.2 . 30080,
                         127.0.0.1 . udp . 8080 . 0x00000009 : 172.18.0.3 . 30080,
                         127.0.0.1 . udp . 8080 . 0x0000000a : 172.18.0.2 . 30080,
                         127.0.0.1 . udp . 8080 . 0x0000000b : 172.18.0.3 . 30080 }
            }

            set flows {
                type ipv4_addr . inet_proto . inet_service
                counter
                elements = { 127.0.0.1 . tcp . 8080,
                         127.0.0.1 . udp . 8080 }
            }

            set sent {
                type ipv4_addr . inet_proto . inet_service
                counter
                elements = { 127.0.0.1 . tcp . 8080,
                         127.0.0.1 . udp . 8080 }
            }

            set received {
                type ipv4_addr . inet_proto . inet_service
                counter
                elements = { 127.0.0.1 . tcp . 8080,
                         127.0.0.1 . udp . 8080 }
            }

            set routed {
                type ipv4_addr . inet_proto . inet_service
            }

            map any_one {
                type inet_proto . inet_service : ipv4_addr . inet_service
                elements = { tcp . 5432 : 10.43.0.10 . 5432 }
            }

            map any_many {
                type inet_proto . inet_service . mark : ipv4_addr . inet_service
            }

            set any_flows {
                type inet_proto . inet_service
                counter
                elements = { tcp . 5432 }
            }

            set any_sent {
                type inet_proto . inet_service
                counter
                elements = { tcp . 5432 }
            }

            set any_received {
                type inet_proto . inet_service
                counter
                elements = { tcp . 5432 }
            }

            set any_routed {
                type inet_proto . inet_service
                elements = { tcp . 5432 }
            }
        "#);
    }

    #[test]
    fn the_chains_in_the_hosts_network() {
        insta::assert_snapshot!(in_the_hosts_network().1, @r#"
            chain guard {
                type filter hook prerouting priority -300; policy accept;
                iifname "br-demo" ip daddr 127.0.0.0/8 drop
                iifname "br-demo" ip saddr 127.0.0.0/8 drop
            }

            chain lead {
                type nat hook output priority -101; policy accept;
                oif != "lo" return
                dnat ip to ip daddr . meta l4proto . th dport map @one
                dnat ip to meta l4proto . th dport map @any_one
                dnat ip to ip daddr . meta l4proto . th dport . numgen random mod 12 map @many
                dnat ip to meta l4proto . th dport . numgen random mod 12 map @any_many
            }

            chain sent {
                type filter hook postrouting priority 0; policy accept;
                oifname != "br-demo" return
                ct status dnat ct original ip daddr . meta l4proto . ct original proto-dst @sent accept
                ct status dnat meta l4proto . ct original proto-dst @any_sent
            }

            chain flows {
                type nat hook postrouting priority 99; policy accept;
                oifname != "br-demo" return
                ct status dnat ct original ip daddr . meta l4proto . ct original proto-dst @flows masquerade
                ct status dnat iif 0 meta l4proto . ct original proto-dst @any_flows masquerade
            }

            chain received {
                type filter hook prerouting priority -150; policy accept;
                iifname != "br-demo" return
                ct status dnat ct original ip daddr . meta l4proto . ct original proto-dst @received accept
                ct status dnat meta l4proto . ct original proto-dst @any_received
            }

            chain there {
                type route hook output priority -150; policy accept;
                oif != "lo" return
                ip daddr . meta l4proto . th dport @routed meta mark set 0x7320209b
                meta l4proto . th dport @any_routed meta mark set 0x7320209b
            }

            chain back {
                type filter hook prerouting priority -150; policy accept;
                iifname != "br-demo" return
                ct status dnat ct original ip daddr . meta l4proto . ct original proto-dst @routed meta mark set 0x7320209b
                ct status dnat meta l4proto . ct original proto-dst @any_routed meta mark set 0x7320209b
            }

        }
        "#);
    }

    #[test]
    fn the_sets_in_a_container() {
        insta::assert_snapshot!(in_a_container().0, @r#"
        table ip portgate-k3d-demo {
            map any_one {
                type inet_proto . inet_service : ipv4_addr . inet_service
                elements = { tcp . 8080 : 172.18.0.2 . 30080,
                         udp . 53 : 10.43.0.10 . 53 }
            }

            map any_many {
                type inet_proto . inet_service . mark : ipv4_addr . inet_service
            }

            set any_flows {
                type inet_proto . inet_service
                counter
                elements = { tcp . 8080,
                         udp . 53 }
            }

            set any_sent {
                type inet_proto . inet_service
                counter
                elements = { tcp . 8080,
                         udp . 53 }
            }

            set any_received {
                type inet_proto . inet_service
                counter
                elements = { tcp . 8080,
                         udp . 53 }
            }

            set any_routed {
                type inet_proto . inet_service
                elements = { udp . 53 }
            }
        "#);
    }

    #[test]
    fn the_chains_in_a_container() {
        insta::assert_snapshot!(in_a_container().1, @r#"
            chain lead {
                type nat hook prerouting priority -100; policy accept;
                fib daddr type != local return
                dnat ip to meta l4proto . th dport map @any_one
                dnat ip to meta l4proto . th dport . numgen random mod 12 map @any_many
            }

            chain sent {
                type filter hook postrouting priority 0; policy accept;
                ct status dnat ct direction original meta l4proto . ct original proto-dst @any_sent
            }

            chain flows {
                type nat hook postrouting priority 99; policy accept;
                ct status dnat meta l4proto . ct original proto-dst @any_flows masquerade
            }

            chain received {
                type filter hook prerouting priority -150; policy accept;
                ct status dnat ct direction reply meta l4proto . ct original proto-dst @any_received
            }

            chain there {
                type filter hook prerouting priority -150; policy accept;
                meta l4proto . ct original proto-dst @any_routed meta mark set 0x7320209b
            }

        }
        "#);
    }
}
