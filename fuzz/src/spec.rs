//! What a user types for ports.

use portgate_core::kubernetes::{Objects, PortName};
use portgate_core::mapping::HostAddresses;
use portgate_core::spec::{Ground, PortSpec, Selector, SpecError};

use crate::Target;

/// The most mappings that one text can mean: every port, with both protocols.
const MOST: usize = 2 * 65_535;

/// `core::spec`
pub const TARGET: Target = Target { name: "spec", check, growth: 4 << 20 };

fn check(data: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(data) else { return false };
    let is_port = match PortSpec::parse(text) {
        Ok(spec) => {
            assert_eq!(PortSpec::parse(&spec.to_string()).as_ref(), Ok(&spec));
            means_something_finite(&spec);
            true
        }
        Err(error) => is_explained(text, &error),
    };
    let is_selector = match Selector::parse(text) {
        Ok(selector) => {
            assert_eq!(Selector::parse(&selector.to_string()).as_ref(), Ok(&selector));
            true
        }
        Err(error) => is_explained(text, &error),
    };
    if let Ok(name) = text.parse::<PortName>() {
        assert_eq!(name.to_string().parse(), Ok(name));
    }
    is_port || is_selector
}

fn means_something_finite(spec: &PortSpec) {
    let (addresses, objects) = (HostAddresses::loopback(), Objects::default());
    let ground = Ground { addresses: &addresses, namespace: "default", objects: &objects };
    match spec.wanted(ground) {
        Ok(wanted) => assert!(wanted.len() <= MOST),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// Checks that the error can be shown with its place. Never an understood text.
fn is_explained(text: &str, error: &SpecError) -> bool {
    assert!(text.get(error.at.clone()).is_some() || error.at.start >= text.len(), "{:?} of {text:?}", error.at);
    assert!(!error.to_string().is_empty() && !error.hint().is_empty() && !error.selector_hint().is_empty());
    false
}
