//! The interface to the nodes: its number, and the settings that a gate needs of it.

use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, netdevice, socket_with};

use crate::error::Error;
use crate::guard::{Guard, Names};
use crate::identity::{Identity, Place};
use crate::setting::{ROUTE_LOCALNET, SRC_VALID_MARK, Setting, SettingError};
use crate::socket::Refused;

/// The interface, and what has been changed of it. All that changing it back takes is open from the start.
#[derive(Debug)]
pub(crate) struct Interface {
    /// `None` in a container's network, where the nodes' own addresses say the interface.
    bridge: Option<Bridge>,
    marks: Setting,
    /// What portgate has turned on, as far as this gate knows.
    turned_on: Names,
}

#[derive(Debug)]
struct Bridge {
    name: String,
    /// For questions about interfaces.
    socket: OwnedFd,
    loopback: Setting,
    guard: Guard,
}

impl Interface {
    /// Changes nothing yet.
    pub(crate) fn open(place: &Place, identity: &Identity) -> Result<Self, Error> {
        let bridge = place.bridge().map(|name| Bridge::open(name, identity)).transpose()?;
        let marks = Setting::open(place.bridge().unwrap_or("all"), SRC_VALID_MARK)?;
        Ok(Self { bridge, marks, turned_on: Names::new() })
    }

    /// The number of the interface to the nodes; `None` where their addresses say it.
    pub(crate) fn index(&self) -> Result<Option<u32>, Error> {
        self.bridge.as_ref().map(Bridge::index).transpose()
    }

    /// Whether all settings are as they should be, as far as reading them tells; `marks` as for [`Interface::mend`].
    pub(crate) fn is_set(&self, marks: bool) -> bool {
        let is_on = |setting: &Setting| setting.is_on().unwrap_or_default();
        self.bridge.as_ref().is_none_or(|bridge| is_on(&bridge.loopback)) && (!marks || is_on(&self.marks))
    }

    /// Puts back the guard and the settings, `src_valid_mark` only if `marks` says so. Returns whether anything was
    /// missing.
    pub(crate) fn mend(&mut self, marks: bool) -> Result<bool, Error> {
        let mut missing = false;
        if let Some(bridge) = &mut self.bridge {
            let record = bridge.guard.record()?;
            // Another gate may have turned them on, and have gone since.
            self.turned_on.append(&mut record.turned_on());
            if !bridge.guard.is_whole(&record, &self.turned_on) {
                bridge.guard.establish(&self.turned_on)?;
                missing = true;
            }
            bridge.loopback.follow()?;
            missing |= turn_on(&bridge.loopback, Some(&mut bridge.guard), &mut self.turned_on)?;
        }
        if marks {
            missing |= self.accept_marks()?;
        }
        Ok(missing)
    }

    /// The packets of a backend that has a route in the gate's table only come back by an interface that the host's own
    /// table does not expect them at; the reverse path filter asks the gate's table if it respects marks. Returns whether
    /// it did not.
    pub(crate) fn accept_marks(&mut self) -> Result<bool, Error> {
        self.marks.follow()?;
        let guard = self.bridge.as_mut().map(|bridge| &mut bridge.guard);
        turn_on(&self.marks, guard, &mut self.turned_on)
    }

    /// Turns off what portgate has turned on and nobody else of portgate needs; then the guard goes.
    pub(crate) fn release(&mut self) -> Result<(), Error> {
        match &mut self.bridge {
            Some(bridge) => bridge.guard.release(&mut [&mut bridge.loopback, &mut self.marks], &self.turned_on),
            None if self.turned_on.contains(self.marks.name()) => Ok(self.marks.set(false)?),
            None => Ok(()),
        }
    }
}

/// Turns a setting on, after that was recorded. Returns whether it was off.
fn turn_on(setting: &Setting, guard: Option<&mut Guard>, turned_on: &mut Names) -> Result<bool, Error> {
    if setting.is_on()? {
        return Ok(false);
    }
    turned_on.insert(setting.name());
    if let Some(guard) = guard {
        guard.establish(turned_on)?;
    }
    setting.set(true)?;
    Ok(true)
}

impl Bridge {
    fn open(name: &str, identity: &Identity) -> Result<Self, Error> {
        let refused = |errno| Refused { operation: "open a socket", errno };
        let socket =
            socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None).map_err(refused)?;
        let absent = |error: SettingError| {
            if error.is_missing() { Error::NoBridge { bridge: name.to_owned() } } else { error.into() }
        };
        let loopback = Setting::open(name, ROUTE_LOCALNET).map_err(absent)?;
        Ok(Self { name: name.to_owned(), socket, loopback, guard: Guard::open(name, identity.table())? })
    }

    fn index(&self) -> Result<u32, Error> {
        netdevice::name_to_index(&self.socket, &self.name).map_err(|errno| match errno {
            Errno::NODEV => Error::NoBridge { bridge: self.name.clone() },
            errno => Refused { operation: "look for the interface", errno }.into(),
        })
    }
}
