//! A client and its backend.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};

use super::flow::Flow;
use super::peer::Peer;
use crate::mapping::Mapping;

/// Two streams, and the flows between them.
#[derive(Debug)]
pub(super) struct Connection<'a> {
    client: Peer,
    server: Peer,
    inward: Flow,
    outward: Flow,
    mapping: &'a Mapping,
}

impl<'a> Connection<'a> {
    pub(super) fn new(client: Peer, server: Peer, mapping: &'a Mapping) -> Self {
        mapping.tally.connections_total.add(1);
        mapping.tally.connections_open.add(1);
        Self { client, server, inward: Flow::default(), outward: Flow::default(), mapping }
    }

    /// Carries bytes both ways until both directions are over. The end of one direction is passed on and leaves the other
    /// alone, for as long as it likes; an error of one end resets the other.
    pub(super) async fn run(mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll(cx)).await?;
        if self.inward.has_ended() && self.outward.has_ended() {
            self.client.finish();
            self.server.finish();
        }
        Ok(())
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { client, server, inward, outward, mapping } = self;
        let (client, server) = (&mut client.stream, &mut server.stream);
        let (supplies, tally) = (&mapping.common.supplies, &mapping.tally);
        let said = inward.poll(cx, client, server, outward.is_broken(), supplies, &tally.bytes_in)?;
        let answered = outward.poll(cx, server, client, inward.is_broken(), supplies, &tally.bytes_out)?;
        if said.is_ready() && answered.is_ready() { Poll::Ready(Ok(())) } else { Poll::Pending }
    }
}

impl Drop for Connection<'_> {
    fn drop(&mut self) {
        self.mapping.tally.connections_open.subtract(1);
    }
}
