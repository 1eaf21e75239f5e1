//! Notices that others change the kernel's rules.

use std::io;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::task::Poll;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SocketFlags, recv};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::error::Error;
use crate::socket::{Family, Refused, subscribed};

/// `NFNLGRP_NFTABLES` of `linux/netfilter/nfnetlink.h`: group 7 is bit 6.
const NFTABLES: u32 = 1 << 6;

/// `RTNLGRP_LINK`, `RTNLGRP_IPV4_ROUTE` and `RTNLGRP_IPV4_RULE` of `linux/rtnetlink.h`: groups 1, 7 and 8.
const LINKS_ROUTES_RULES: u32 = 1 | 1 << 6 | 1 << 7;

/// Notices that nftables, routing rules, routes or interfaces were changed by anybody, this process included.
#[derive(Debug)]
pub struct Watch {
    nftables: AsyncFd<OwnedFd>,
    routing: AsyncFd<OwnedFd>,
}

impl Watch {
    /// Watches from now on. Must be called within a tokio runtime with I/O enabled. Needs no privilege.
    pub fn new() -> Result<Self, Error> {
        let refused = |errno| Refused { operation: "watch the kernel's rules", errno };
        Self::open().map_err(|error| refused(Errno::from_io_error(&error).unwrap_or(Errno::IO)).into())
    }

    fn open() -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        #[allow(deprecated, reason = "the successor is unsafe; what it demands of a descriptor, an `OwnedFd` keeps")]
        let open = |family, groups| AsyncFd::with_interest(subscribed(family, groups, flags)?, Interest::READABLE);
        Ok(Self { nftables: open(Family::Netfilter, NFTABLES)?, routing: open(Family::Route, LINKS_ROUTES_RULES)? })
    }

    /// Waits for the next change, or returns at once if there were any since the last call: many are one. Cancel-safe.
    pub async fn changed(&mut self) -> io::Result<()> {
        let mut nftables = pin!(notice(&self.nftables));
        let mut routing = pin!(notice(&self.routing));
        std::future::poll_fn(|context| match nftables.as_mut().poll(context) {
            Poll::Pending => routing.as_mut().poll(context),
            ready @ Poll::Ready(_) => ready,
        })
        .await
    }
}

pub(crate) async fn notice(socket: &AsyncFd<OwnedFd>) -> io::Result<()> {
    loop {
        if socket.async_io(Interest::READABLE, |fd| drain(fd).map_err(io::Error::from)).await? {
            return Ok(());
        }
    }
}

/// Takes all that is queued. Returns whether there was anything.
fn drain(fd: &OwnedFd) -> Result<bool, Errno> {
    let mut any = false;
    loop {
        // What is too long is cut off: that there was something is enough.
        match recv(fd, &mut [0_u8; 16][..], RecvFlags::DONTWAIT) {
            // `NOBUFS`: more happened than the queue could hold.
            Ok(_) | Err(Errno::NOBUFS) => any = true,
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) if any => return Ok(true),
            Err(errno) => return Err(errno),
        }
    }
}
