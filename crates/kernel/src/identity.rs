//! Whose rules they are, and where they lie.

use portgate_core::cluster::ClusterId;

use crate::error::Error;
use crate::mark::{self, MarkRule};

/// The longest name of a table, in bytes: `NFT_NAME_MAXLEN` of `linux/netfilter/nf_tables.h` less the final zero.
const NAME_MAX: usize = 255;

/// What tells one gate's rules from another's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    table: String,
    /// All of the cluster's name, from which the marks are made.
    name: String,
    mark: u32,
}

impl Identity {
    /// The identity of this cluster's gate: the same for the same cluster, whenever and wherever it is asked for.
    pub fn of(cluster: &ClusterId) -> Self {
        let name = format!("portgate-{}-{}", cluster.provider, cluster.name);
        let safe = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' };
        let table: String = name.chars().map(safe).take(NAME_MAX).collect();
        let mark = mark::choices(&name).next().unwrap_or_default();
        Self { table, name, mark }
    }

    /// The same with a mark that no routing rule of others is for.
    pub(crate) fn beside(self, others: &[MarkRule]) -> Result<Self, Error> {
        let mark = mark::unused(&self.name, others).ok_or(Error::NoMark)?;
        Ok(Self { mark, ..self })
    }

    /// All marks that this gate may have had.
    pub(crate) fn marks(&self) -> Vec<u32> {
        mark::choices(&self.name).chain([mark::former(&self.name)]).collect()
    }

    /// The name of the nftables table, of the family `ip`.
    pub fn table(&self) -> &str {
        &self.table
    }

    /// The firewall mark of packets that need the gate's own routes, and the number of the routing table with these: the
    /// one that it has where no routing rule of others is for it.
    pub fn mark(&self) -> u32 {
        self.mark
    }
}

/// Where the kernel path lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the host's network.
    Host {
        /// The interface of the cluster's Docker network.
        bridge: String,
    },
    /// In the network of a container of the gate's own, with published ports.
    Container,
}

impl Place {
    pub(crate) fn bridge(&self) -> Option<&str> {
        match self {
            Self::Host { bridge } => Some(bridge),
            Self::Container => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use portgate_core::cluster::Provider;

    use super::*;

    fn identity(provider: Provider, name: &str) -> Identity {
        Identity::of(&ClusterId { provider, name: name.to_owned() })
    }

    #[test]
    fn a_table_is_named_after_the_cluster() {
        assert_eq!(identity(Provider::K3d, "my-cluster").table(), "portgate-k3d-my-cluster");
        assert_eq!(identity(Provider::Network, "a b\"/é").table(), "portgate-network-a_b___");
        assert_eq!(identity(Provider::Kind, &"x".repeat(300)).table().len(), NAME_MAX);
    }

    #[test]
    fn a_mark_is_stable() {
        let mark = identity(Provider::K3d, "my-cluster").mark();
        assert_eq!(mark, identity(Provider::K3d, "my-cluster").mark());
        assert_ne!(mark, identity(Provider::Kind, "my-cluster").mark());
    }
}
