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
    /// Routing rules of others are for all firewall marks that the gate may have.
    #[error("routing rules of others use its firewall marks (ip rule)")]
    NoMark,
    /// A setting below `/proc/sys` could not be read or written.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// The kernel refused an operation.
    #[error(transparent)]
    Refused(#[from] Refused),
}

impl Error {
    /// Whether the same may succeed in a moment: something has run out, or others changed the same. It says nothing about
    /// whether the rules are there.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Setting(error) => Errno::from_io_error(&error.source).is_some_and(passes),
            Self::Refused(refused) => passes(refused.errno),
            Self::NotPermitted
            | Self::NoNftables(_)
            | Self::TooOld(_)
            | Self::Taken
            | Self::NoBridge { .. }
            | Self::NotForwarding
            | Self::NoMark => false,
        }
    }

    /// What it means that nftables cannot be spoken to at all.
    pub(crate) fn from_probe(refused: Refused) -> Self {
        match refused.errno {
            Errno::PERM => Self::NotPermitted,
            errno if passes(errno) => Self::Refused(refused),
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

fn passes(errno: Errno) -> bool {
    let transient = [
        // No descriptor, of the process or of the machine.
        Errno::MFILE,
        Errno::NFILE,
        // No memory, for a message or at all.
        Errno::NOBUFS,
        Errno::NOMEM,
        // Others came between.
        Errno::INTR,
        Errno::AGAIN,
        Errno::RESTART,
    ];
    transient.contains(&errno)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_run_out_comes_back_and_what_is_refused_stays_refused() {
        let refused = |errno| Error::Refused(Refused { operation: "look for the table", errno });
        let setting = |errno: Errno| {
            Error::Setting(SettingError { operation: "read", path: "route_localnet".into(), source: errno.into() })
        };
        for errno in [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM, Errno::INTR, Errno::AGAIN] {
            assert!(refused(errno).is_transient() && setting(errno).is_transient(), "{errno}");
            assert!(Error::from_probe(Refused { operation: "use nftables", errno }).is_transient(), "{errno}");
        }
        for errno in [Errno::PERM, Errno::NOENT, Errno::INVAL, Errno::ROFS, Errno::OPNOTSUPP] {
            assert!(!refused(errno).is_transient() && !setting(errno).is_transient(), "{errno}");
        }
        assert!(!Error::Taken.is_transient());
    }
}
