//! Why there may be no kernel path.

use portgate_core::control::Detail;
use portgate_core::status::RelayReason;
use portgate_kernel::{Datapath, Error, Place, clean};
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};

use crate::lab::{self, Lab, identity, local, place, shell, table, tcp};

#[test]
fn without_net_admin_there_is_none() {
    if !lab::may_run() {
        return;
    }
    let lab = Lab::new();
    lab.host.run(|| {
        // The rights are those of this thread, which ends with the test.
        let mut sets = capabilities(None).unwrap();
        sets.effective -= CapabilitySet::NET_ADMIN;
        sets.permitted -= CapabilitySet::NET_ADMIN;
        set_capabilities(None, sets).unwrap();
        let error = Datapath::start(identity("lab"), place()).unwrap_err();
        assert!(matches!(error, Error::NotPermitted), "{error:?}");
        assert_eq!(error.to_string(), "no right to programme the kernel (NET_ADMIN)");
        assert!(matches!(clean(&identity("lab"), None), Err(Error::NotPermitted)));
    });
    assert_eq!(lab.host.shell("nft list ruleset"), "");
}

#[test]
fn net_admin_is_enough() {
    if !lab::may_run() {
        return;
    }
    let lab = Lab::new().node(2, "node");
    let before = lab.host.run(|| lab::everything(lab::BRIDGE));
    let mut path = lab.host.run(|| {
        only_net_admin();
        Datapath::start(identity("lab"), place()).unwrap()
    });
    let routed = &["10.43.0.10:80 via 172.30.0.2"][..];
    let wanted = table(&[("127.0.0.1:8080/tcp", &["172.30.0.2:80"]), ("127.0.0.1:8081/udp", routed)]);
    lab.host.run(|| {
        only_net_admin();
        path.apply(&wanted).unwrap();
        assert_eq!(tcp("127.0.0.1:8080").unwrap(), "node hello");
        assert_eq!(path.counters(Detail::Whole).unwrap().len(), 2);
        assert!(!path.mend().unwrap());
        path.end().unwrap();
    });
    assert_eq!(lab.host.run(|| lab::everything(lab::BRIDGE)), before);
}

/// The rights are those of this thread.
fn only_net_admin() {
    let only = CapabilitySet::NET_ADMIN;
    let inheritable = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: only, permitted: only, inheritable }).unwrap();
}

#[test]
fn without_the_bridge_there_is_none() {
    if !lab::may_run() {
        return;
    }
    let lab = Lab::new();
    lab.host.run(|| {
        let nowhere = Place::Host { bridge: "nowhere".to_owned() };
        let error = Datapath::start(identity("lab"), nowhere).unwrap_err();
        assert!(matches!(&error, Error::NoBridge { bridge } if bridge == "nowhere"), "{error:?}");
        assert_eq!(shell("nft list ruleset"), "");
    });
}

#[test]
fn what_the_relay_carries_has_a_reason() {
    if !lab::may_run() {
        return;
    }
    let lab = Lab::new();
    let mut path = lab.datapath();
    let wanted = table(&[
        ("127.0.0.1,::1:80/tcp", &["172.30.0.2:80"]),
        ("::1:81/tcp", &["172.30.0.2:80"]),
        ("127.0.0.1:82/tcp", &["[fd00::2]:80"]),
        ("127.0.0.1:83/tcp", &[]),
    ]);
    lab.host.run(|| path.apply(&wanted)).unwrap();
    let reasons: Vec<_> = wanted.keys().map(|local| path.relay_reason(local)).collect();
    assert_eq!(path.relay_reason(&local("127.0.0.1,::1:80/tcp")), None);
    assert_eq!(path.relay_reason(&local("::1:81/tcp")), Some(RelayReason::LocalIpv6));
    assert_eq!(path.relay_reason(&local("127.0.0.1:82/tcp")), Some(RelayReason::BackendIpv6));
    assert_eq!(path.relay_reason(&local("127.0.0.1:83/tcp")), Some(RelayReason::NoBackend));
    assert_eq!(reasons.iter().flatten().count(), 3);
}
