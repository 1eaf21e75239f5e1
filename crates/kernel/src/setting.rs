//! Settings of network interfaces, below `/proc/sys`.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

/// Packets from and to 127.0.0.0/8 may pass the interface.
pub(crate) const ROUTE_LOCALNET: &str = "route_localnet";

/// The reverse path filter respects the mark of packets from the interface.
pub(crate) const SRC_VALID_MARK: &str = "src_valid_mark";

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

impl SettingError {
    /// Whether there is no such setting, because the interface is gone.
    pub(crate) fn is_missing(&self) -> bool {
        self.source.kind() == io::ErrorKind::NotFound
    }
}

/// Whether the network forwards packets between interfaces.
pub(crate) fn forwards() -> Result<bool, SettingError> {
    Setting::open_at("ip_forward".into(), "ip_forward")?.is_on()
}

/// An IPv4 setting that is on or off. Its file stays open, so that a process without a spare descriptor can use it.
#[derive(Debug)]
pub(crate) struct Setting {
    name: &'static str,
    path: PathBuf,
    file: File,
    /// Why the file is open for reading only.
    read_only: Option<Errno>,
}

impl Setting {
    /// The setting of this name of one interface.
    pub(crate) fn open(interface: &str, name: &'static str) -> Result<Self, SettingError> {
        Self::open_at(Path::new("conf").join(interface).join(name), name)
    }

    fn open_at(path: PathBuf, name: &'static str) -> Result<Self, SettingError> {
        let path = Path::new("/proc/sys/net/ipv4").join(path);
        let both = OpenOptions::new().read(true).write(true).open(&path);
        let opened = both.map(|file| (file, None)).or_else(|error| match Errno::from_io_error(&error) {
            Some(errno @ (Errno::ACCESS | Errno::PERM | Errno::ROFS)) => Ok((File::open(&path)?, Some(errno))),
            _ => Err(error),
        });
        match opened {
            Ok((file, read_only)) => Ok(Self { name, path, file, read_only }),
            Err(source) => Err(SettingError { operation: "read", path, source }),
        }
    }

    /// Its name, such as `route_localnet`.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Whether it is on now.
    pub(crate) fn is_on(&self) -> Result<bool, SettingError> {
        let mut text = [0; 16];
        match self.file.read_at(&mut text, 0) {
            Ok(length) => Ok(text[..length].trim_ascii() != b"0"),
            Err(source) => Err(SettingError { operation: "read", path: self.path.clone(), source }),
        }
    }

    /// Follows the interface if it was made anew: the file of the one that is gone cannot be read any more.
    pub(crate) fn follow(&mut self) -> Result<(), SettingError> {
        match self.is_on() {
            Err(error) if error.is_missing() => {
                *self = Self::open_at(self.path.clone(), self.name)?;
                Ok(())
            }
            outcome => outcome.map(drop),
        }
    }

    /// Turns it on or off.
    pub(crate) fn set(&self, on: bool) -> Result<(), SettingError> {
        let written = match self.read_only {
            Some(errno) => Err(errno.into()),
            None => self.file.write_all_at(if on { b"1" } else { b"0" }, 0),
        };
        written.map_err(|source| SettingError { operation: "write", path: self.path.clone(), source })
    }
}

/// Whether Docker needs `route_localnet` of its bridge: an engine without userland proxy (`userland-proxy: false`) turns it
/// on, and lets each port of the bridge send packets back to where they came from.
pub(crate) fn is_needed_by_docker(bridge: &str) -> bool {
    let ports = fs::read_dir(format!("/sys/class/net/{bridge}/brif")).into_iter().flatten().flatten();
    let turns_back =
        |port: fs::DirEntry| fs::read(port.path().join("hairpin_mode")).is_ok_and(|mode| mode.starts_with(b"1"));
    ports.into_iter().any(turns_back)
}
