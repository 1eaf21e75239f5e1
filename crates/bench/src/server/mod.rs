//! The node: what runs in its container, at the far end of every path.

mod meter;
mod stream;
mod talk;

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

pub(crate) use meter::{Meter, Sample};

use crate::service::{METER, Service};
use meter::Counters;

/// Serves until SIGTERM.
pub(crate) async fn serve() -> anyhow::Result<()> {
    // The first process of a container is ended by no signal but those that it handles.
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for signals")?;
    let counters = Arc::new(Counters::new());
    let listen = |service: Service| TcpListener::bind(everywhere(service.port())).context("cannot listen");
    let bind = |service: Service| UdpSocket::bind(everywhere(service.port())).context("cannot bind");
    stream::sink(listen(Service::Sink)?, Arc::clone(&counters));
    stream::source(listen(Service::Source)?);
    stream::datagrams(bind(Service::Datagrams)?, Arc::clone(&counters));
    stream::echo(bind(Service::Echo)?);
    let services = async {
        tokio::try_join!(
            talk::serve(everywhere(Service::Ping.port()), talk::ping),
            talk::serve(everywhere(Service::Http.port()), talk::http),
            talk::serve(everywhere(METER), |stream| meter::answer(stream, Arc::clone(&counters))),
        )
    };
    tokio::select! {
        served = services => served.map(|_| ()).context("a service of the node ended"),
        _ = terminate.recv() => Ok(()),
    }
}

fn everywhere(port: u16) -> SocketAddr {
    (Ipv4Addr::UNSPECIFIED, port).into()
}
