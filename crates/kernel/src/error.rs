//! Why there is no kernel path.

use rustix::io::Errno;

use crate::setting::SettingError;
use crate::socket::Refused;

/// Why the kernel does not carry the mappings. The texts are short: they are shown in a cell of a listing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The process lacks `CAP_NET_ADMIN` in the user namespace of its network.
    #[error("no right to programme the kernel (NET_ADMIN)")]
    NotPermitted,
    /// The kernel has no nftables, or may not load them.
    #[error("the kernel has no nftables")]
    NoNftables(#[source] Refused),
    /// The kernel has nftables, but not all that the rules need: Linux 5.7 with `CONFIG_NFT_{CT,NAT,MASQ,FIB_IPV4,NUMGEN}`.
    #[error("the kernel is too old")]
    TooOld(#[source] Refused),
    /// A running gate of the same cluster owns the table.
    #[error("another gate of this cluster runs")]
    Taken,
    /// There is no interface of this name.
    #[error("no interface {bridge}")]
    NoBridge {
        /// The interface of the cluster's Docker network.
        bridge: String,
    },
    /// The container's network does not forward packets (`net.ipv4.ip_forward`).
    #[error("ip_forward is off")]
    NotForwarding,
    /// A setting below `/proc/sys` could not be read or written.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// The kernel refused an operation.
    #[error(transparent)]
    Refused(#[from] Refused),
}

impl Error {
    /// What it means that nftables cannot be spoken to at all.
    pub(crate) fn from_probe(refused: Refused) -> Self {
        match refused.errno {
            Errno::PERM => Self::NotPermitted,
            _ => Self::NoNftables(refused),
        }
    }

    /// What it means that a table was refused by nftables that answer.
    pub(crate) fn from_table(refused: Refused) -> Self {
        match refused.errno {
            Errno::PERM | Errno::BUSY => Self::Taken,
            Errno::OPNOTSUPP | Errno::NOENT | Errno::INVAL => Self::TooOld(refused),
            _ => Self::Refused(refused),
        }
    }
}
