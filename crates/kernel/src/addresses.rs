//! Notices that the addresses of this network namespace change.

use std::io;
use std::os::fd::OwnedFd;

use rustix::net::SocketFlags;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::socket::{Family, subscribed};
use crate::watch::notice;

/// `RTNLGRP_IPV4_IFADDR` and `RTNLGRP_IPV6_IFADDR` of `linux/rtnetlink.h`: groups 5 and 9.
const ADDRESSES: u32 = 1 << 4 | 1 << 8;

/// Notices that an interface gets or loses an address.
#[derive(Debug)]
pub struct AddressWatch(AsyncFd<OwnedFd>);

impl AddressWatch {
    /// Watches from now on. Must be called within a tokio runtime with I/O enabled. Needs no privilege.
    pub fn new() -> io::Result<Self> {
        let fd = subscribed(Family::Route, ADDRESSES, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
        #[allow(deprecated, reason = "the successor is unsafe; what it demands of a descriptor, an `OwnedFd` keeps")]
        Ok(Self(AsyncFd::with_interest(fd, Interest::READABLE)?))
    }

    /// Waits for the next change, or returns at once if there were any since the last call: many are one. Cancel-safe.
    pub async fn changed(&mut self) -> io::Result<()> {
        notice(&self.0).await
    }
}
