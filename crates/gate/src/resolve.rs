//! The addresses that containers' names resolve to.
//!
//! Docker's DNS knows the address of each running container on a network of the user's own, and none for a stopped one.
//! A name is looked up again when traffic uses it and the last look-up is older than [`FRESH`], or soon after a backend
//! failed. While nothing flows, nothing wakes.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use dns_lookup::{AddrInfoHints, LookupErrorKind, SockType};
use portgate_core::state::NodeHost;
use portgate_core::table::Addresses;
use portgate_relay::Demand;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

/// How long a look-up counts as fresh while traffic flows: a node that comes back with another address serves again
/// within a second of its being up.
pub(crate) const FRESH: Duration = Duration::from_millis(500);

/// The least time between two look-ups, however many backends fail.
const AT_MOST_EVERY: Duration = Duration::from_millis(50);

/// How long a look-up may take. Docker's DNS answers within 2 ms.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Looks the hosts up whenever `demand` asks for it, until the gate ends.
pub(crate) async fn follow(demand: Arc<Demand>, hosts: watch::Receiver<Vec<NodeHost>>, looks: mpsc::Sender<Addresses>) {
    loop {
        demand.next().await;
        let wanted = hosts.borrow().clone();
        if looks.send(resolve(&wanted).await).await.is_err() {
            return;
        }
        rest(&demand).await;
    }
}

/// Waits until the last look is no longer fresh; less if a backend fails meanwhile.
async fn rest(demand: &Demand) {
    let failed = async {
        tokio::time::sleep(AT_MOST_EVERY).await;
        demand.until_failed().await;
    };
    let _ = tokio::time::timeout(FRESH, failed).await;
}

/// Looks up all hosts at once.
///
/// A host that does not exist has no addresses. A host whose look-up fails is left out, so that what is known of it
/// stays: Docker's DNS is away while the engine restarts, and the nodes may well live on.
pub(crate) async fn resolve(hosts: &[NodeHost]) -> Addresses {
    let mut lookups = JoinSet::new();
    for NodeHost { name, host } in hosts.iter().cloned() {
        lookups.spawn(async move {
            let found = lookup(host).await;
            (name, found)
        });
    }
    let mut addresses = Addresses::new();
    while let Some(finished) = lookups.join_next().await {
        if let Ok((name, Some(found))) = finished {
            addresses.insert(name, found);
        }
    }
    addresses
}

/// The host's addresses, none if there is no such host; `None` if that could not be found out.
async fn lookup(host: String) -> Option<Vec<IpAddr>> {
    if let Ok(address) = host.parse() {
        return Some(vec![address]);
    }
    let query = tokio::task::spawn_blocking(move || query(&host));
    let answer = tokio::time::timeout(TIMEOUT, query).await.ok()?.ok()?;
    match answer {
        Ok(addresses) => Some(addresses),
        Err(LookupErrorKind::NoName | LookupErrorKind::NoData) => Some(Vec::new()),
        Err(_) => None,
    }
}

fn query(host: &str) -> Result<Vec<IpAddr>, LookupErrorKind> {
    let hints = AddrInfoHints { socktype: SockType::Stream.into(), ..AddrInfoHints::default() };
    // The dot at the end keeps the machine's search domains, and so other DNS servers, out of it.
    let found = dns_lookup::getaddrinfo(Some(&format!("{host}.")), None, Some(hints)).map_err(|error| error.kind())?;
    let mut addresses: Vec<IpAddr> = found.flatten().map(|info| SocketAddr::ip(&info.sockaddr)).collect();
    addresses.sort_unstable();
    addresses.dedup();
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(list: &[&str]) -> Vec<NodeHost> {
        list.iter().map(|host| NodeHost { name: format!("name of {host}"), host: (*host).to_owned() }).collect()
    }

    #[tokio::test]
    async fn an_address_stands_for_itself() {
        let found = resolve(&hosts(&["127.0.0.9", "::9"])).await;
        assert_eq!(found["name of 127.0.0.9"], ["127.0.0.9".parse::<IpAddr>().unwrap()]);
        assert_eq!(found["name of ::9"], ["::9".parse::<IpAddr>().unwrap()]);
    }
}
