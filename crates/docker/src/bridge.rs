//! The bridge of a network: the host's interface to it.

use std::collections::HashMap;

use bollard::models::NetworkInspect;
use bollard::query_parameters::InspectNetworkOptions;

use crate::call::{self, Call, QUESTION, is_missing};
use crate::engine::Engine;

/// The option that gives a bridge its name.
const NAME_OPTION: &str = "com.docker.network.bridge.name";

/// How much of a network's id stands in the name of its bridge, in characters.
const ID_DIGITS: usize = 12;

/// A network that exists.
pub(crate) struct Network {
    /// The host's interface to it; none if its driver makes no bridge.
    pub(crate) bridge: Option<String>,
}

impl Engine {
    /// The name of a network's bridge, an interface of the engine's host; none if the network has no bridge or is gone.
    pub async fn bridge(&self, network: &str) -> Result<Option<String>, call::Error> {
        Ok(self.network(network).await?.and_then(|network| network.bridge))
    }

    /// None where there is no such network.
    pub(crate) async fn network(&self, name: &str) -> Result<Option<Network>, call::Error> {
        let inspection = self.docker.inspect_network(name, None::<InspectNetworkOptions>);
        match Call::new("inspect network", name, QUESTION).make(inspection).await {
            Ok(found) => Ok(Some(Network { bridge: bridge_of(found) })),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn bridge_of(network: NetworkInspect) -> Option<String> {
    if network.driver.as_deref() != Some("bridge") {
        return None;
    }
    let named = network.options.as_ref().and_then(|options: &HashMap<_, _>| options.get(NAME_OPTION));
    let named = named.filter(|name| !name.is_empty()).cloned();
    named.or_else(|| Some(format!("br-{}", network.id?.get(..ID_DIGITS)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bridge(network: &str) -> Option<String> {
        bridge_of(serde_json::from_str(network).unwrap())
    }

    #[test]
    fn a_bridge_is_called_as_asked_for_or_after_its_network() {
        let id = r#""Id":"f10bcb1f5f4e7c6c3a9e2b0d""#;
        let asked = format!(r#"{{{id},"Driver":"bridge","Options":{{"com.docker.network.bridge.name":"docker0"}}}}"#);
        assert_eq!(bridge(&asked).as_deref(), Some("docker0"));
        assert_eq!(bridge(&format!(r#"{{{id},"Driver":"bridge"}}"#)).as_deref(), Some("br-f10bcb1f5f4e"));
        assert_eq!(bridge(&format!(r#"{{{id},"Driver":"macvlan"}}"#)), None);
        assert_eq!(bridge(r#"{"Driver":"bridge","Id":"short"}"#), None);
    }
}
