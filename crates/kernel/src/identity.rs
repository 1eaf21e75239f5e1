//! Whose rules they are, and where they lie.

use portgate_core::cluster::ClusterId;

/// The longest name of a table, in bytes: `NFT_NAME_MAXLEN` of `linux/netfilter/nf_tables.h` less the final zero.
const NAME_MAX: usize = 255;

/// The top byte of every mark, so that a mark of portgate can be recognised.
const MARK_FAMILY: u32 = 0x7000_0000;

/// What tells one gate's rules from another's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    table: String,
    mark: u32,
}

impl Identity {
    /// The identity of this cluster's gate: the same for the same cluster, whenever and wherever it is asked for.
    pub fn of(cluster: &ClusterId) -> Self {
        let full = format!("portgate-{}-{}", cluster.provider, cluster.name);
        let mark = MARK_FAMILY | (fnv1a(full.as_bytes()) & 0x00ff_ffff);
        let safe = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' };
        let table: String = full.chars().map(safe).take(NAME_MAX).collect();
        Self { table, mark }
    }

    /// The name of the nftables table, of the family `ip`.
    pub fn table(&self) -> &str {
        &self.table
    }

    /// The firewall mark of packets that need the gate's own routes, and the number of the routing table with these.
    pub fn mark(&self) -> u32 {
        self.mark
    }
}

/// FNV-1a, 32 bits: <http://www.isthe.com/chongo/tech/comp/fnv/>. Stable, unlike the hashes of the standard library.
fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
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
    fn a_mark_is_stable_and_recognisable() {
        let mark = identity(Provider::K3d, "my-cluster").mark();
        assert_eq!(mark, identity(Provider::K3d, "my-cluster").mark());
        assert_eq!(mark >> 24, 0x70);
        assert_ne!(mark, identity(Provider::Kind, "my-cluster").mark());
    }

    #[test]
    fn the_hash_is_fnv1a() {
        // The test vectors of the reference implementation.
        assert_eq!(fnv1a(b""), 0x811c_9dc5);
        assert_eq!(fnv1a(b"foobar"), 0xbf9c_f968);
    }
}
