//! Settings of network interfaces, below `/proc/sys`.

use std::path::PathBuf;
use std::{fs, io};

/// A setting could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("{operation} {}", path.display())]
pub struct SettingError {
    /// `read` or `write`.
    pub operation: &'static str,
    /// The file, below `/proc/sys/net/ipv4`.
    pub path: PathBuf,
    /// The system's answer.
    #[source]
    pub source: io::Error,
}

/// Whether the network forwards packets between interfaces.
pub(crate) fn forwards() -> Result<bool, SettingError> {
    read(root().join("ip_forward"))
}

/// An IPv4 setting of one interface that is on or off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    interface: String,
    name: &'static str,
}

impl Setting {
    /// Packets from and to 127.0.0.0/8 may pass the interface.
    pub(crate) fn route_localnet(interface: &str) -> Self {
        Self { interface: interface.to_owned(), name: "route_localnet" }
    }

    /// The reverse path filter respects the mark of packets from the interface.
    pub(crate) fn src_valid_mark(interface: &str) -> Self {
        Self { interface: interface.to_owned(), name: "src_valid_mark" }
    }

    /// Whether it is on now.
    pub(crate) fn is_on(&self) -> Result<bool, SettingError> {
        read(self.path(&self.interface))
    }

    /// Turns it on. Returns whether it was off.
    pub(crate) fn turn_on(&self) -> Result<bool, SettingError> {
        let was_off = !self.is_on()?;
        if was_off {
            write(self.path(&self.interface), true)?;
        }
        Ok(was_off)
    }

    /// Makes it what it is for a new interface. What it was before is not remembered, because a killed gate's
    /// successor could not know; and nobody else sets these two for a single bridge of Docker's. An interface that is gone
    /// has no setting to put back.
    pub(crate) fn reset(&self) -> Result<(), SettingError> {
        let path = self.path(&self.interface);
        if !path.exists() {
            return Ok(());
        }
        let default = read(self.path("default"))?;
        if read(path.clone())? == default { Ok(()) } else { write(path, default) }
    }

    fn path(&self, interface: &str) -> PathBuf {
        root().join("conf").join(interface).join(self.name)
    }
}

fn root() -> PathBuf {
    PathBuf::from("/proc/sys/net/ipv4")
}

fn read(path: PathBuf) -> Result<bool, SettingError> {
    match fs::read_to_string(&path) {
        Ok(text) => Ok(text.trim() != "0"),
        Err(source) => Err(SettingError { operation: "read", path, source }),
    }
}

fn write(path: PathBuf, on: bool) -> Result<(), SettingError> {
    fs::write(&path, if on { "1" } else { "0" }).map_err(|source| SettingError { operation: "write", path, source })
}
