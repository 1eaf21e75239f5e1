//! The labels that portgate gives what it makes. That something carries them is not enough to believe it: see
//! [`crate::trust`].

/// On a gate: its cluster's name. A gate is never a node.
pub const CLUSTER: &str = "dev.portgate.cluster";

/// On a gate: its cluster's provider.
pub const PROVIDER: &str = "dev.portgate.provider";

/// On a gate: its cluster's network.
pub const NETWORK: &str = "dev.portgate.network";

/// On a gate: where it runs.
pub const PLACEMENT: &str = "dev.portgate.placement";

/// On a gate: how its bytes are to travel, as it was asked for. A gate without it uses the relay.
pub const DATAPATH: &str = "dev.portgate.datapath";

/// On a container that removes what a gate left on the host: the cluster's name. Such a container is no gate.
pub const SWEEP: &str = "dev.portgate.sweep";

/// On a gate and on an image: portgate's version.
pub const VERSION: &str = "dev.portgate.version";

/// On an image that portgate packed: `true`.
pub const IMAGE: &str = "dev.portgate.image";

/// On everything that a demonstration made: the demonstration's name.
pub const DEMO: &str = "dev.portgate.demo";
