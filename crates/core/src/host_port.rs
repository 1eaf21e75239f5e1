//! Which port of the host a target gets for which none was named.
//!
//! It is the Service's node port; if that is taken, or there is none, the target's own port, if an ordinary user may
//! listen on it; else one from the plan: 30000-30099 for HTTP, 30300-30399 for databases, 30900-30999 for all else, TCP
//! and UDP. Within its range a port keeps its last two digits where that is free, so that `MySQL`'s 3306 becomes 30306.

use crate::mapping::{HostAddresses, Local, Mapping, Target};
use crate::port::{Port, Protocol};

/// The highest port that only root may listen on, on most machines.
const PRIVILEGED: u16 = 1023;

/// How many ports each range of the plan has.
const RANGE: u16 = 100;

/// Where the ranges of the plan begin.
const HTTP: u16 = 30000;
const DATABASES: u16 = 30300;
const OTHERS: u16 = 30900;

/// The usual ports of HTTP servers.
const HTTP_PORTS: [u16; 9] = [80, 443, 3000, 5000, 8000, 8080, 8081, 8443, 9090];

/// The usual ports of databases: SQL Server, Oracle, `MySQL`, `PostgreSQL`, `CouchDB`, Redis, `Cassandra`, `Elasticsearch`,
/// memcached, `MongoDB`.
const DATABASE_PORTS: [u16; 10] = [1433, 1521, 3306, 5432, 5984, 6379, 9042, 9200, 11211, 27017];

/// A mapping whose host port may not be chosen yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The host's addresses.
    pub addresses: HostAddresses,
    /// The host's port, if it was named.
    pub port: Option<Port>,
    /// The protocol.
    pub protocol: Protocol,
    /// Where it is to lead.
    pub target: Target,
    /// What the choice of a port goes by.
    pub advice: Advice,
}

/// What is known of a target that helps to choose a port for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Advice {
    /// The port of the nodes that leads to it.
    pub node_port: Option<Port>,
    /// Its own port.
    pub port: Option<Port>,
    /// The name of that port.
    pub name: Option<String>,
}

/// A mapping that is complete already.
impl From<Mapping> for Wanted {
    fn from(Mapping { local: Local { addresses, port, protocol }, target }: Mapping) -> Self {
        Self { addresses, port: Some(port), protocol, target, advice: Advice::default() }
    }
}

/// No port of the plan is free.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no host port is free for {target}: neither its own, nor one of {first}-{last}")]
pub struct NoHostPort {
    /// The target.
    pub target: Target,
    /// The first port of its range.
    pub first: u16,
    /// The last port of its range.
    pub last: u16,
}

impl NoHostPort {
    /// What to do about it.
    pub fn hint(&self) -> String {
        format!("name a host port, as 40000:{}", self.target)
    }
}

/// Chooses the ports that were not named. What is open the same way already keeps its port; `is_free` tells of the others
/// whether they can be listened on.
pub fn assign(
    wanted: Vec<Wanted>,
    open: &[Mapping],
    mut is_free: impl FnMut(&Local) -> bool,
) -> Result<Vec<Mapping>, NoHostPort> {
    let named: Vec<Local> = wanted.iter().filter_map(|wanted| wanted.port.map(|port| wanted.local(port))).collect();
    let mut chosen: Vec<Mapping> = Vec::new();
    for wanted in wanted {
        let port = if let Some(port) = wanted.port.or_else(|| wanted.port_among(open)) {
            port
        } else {
            let mut fits = |port: &Port| {
                let local = wanted.local(*port);
                let taken = named.iter().chain(chosen.iter().chain(open).map(|mapping| &mapping.local));
                !taken.into_iter().any(|other| other.overlaps(&local)) && is_free(&local)
            };
            // Both protocols of one target have the same port, where that can be.
            let sibling = chosen.iter().find(|mapping| mapping.target == wanted.target);
            let sibling = sibling.map(|mapping| mapping.local.port);
            wanted.advice.candidates(sibling).find(&mut fits).ok_or_else(|| wanted.no_host_port())?
        };
        chosen.push(Mapping { local: wanted.local(port), target: wanted.target });
    }
    Ok(chosen)
}

impl Wanted {
    fn local(&self, port: Port) -> Local {
        Local { addresses: self.addresses.clone(), port, protocol: self.protocol }
    }

    fn port_among(&self, open: &[Mapping]) -> Option<Port> {
        let is_same =
            |mapping: &&Mapping| mapping.target == self.target && mapping.local == self.local(mapping.local.port);
        open.iter().find(is_same).map(|mapping| mapping.local.port)
    }

    fn no_host_port(&self) -> NoHostPort {
        let first = self.advice.range();
        NoHostPort { target: self.target.clone(), first, last: first + RANGE - 1 }
    }
}

impl Advice {
    fn candidates(&self, sibling: Option<Port>) -> impl Iterator<Item = Port> {
        let own = self.port.filter(|port| port.number() > PRIVILEGED);
        let (first, start) = (self.range(), self.port.map_or(0, |port| port.number() % RANGE));
        let planned = (0..RANGE).filter_map(move |step| Port::new(first + (start + step) % RANGE));
        self.node_port.into_iter().chain(sibling).chain(own).chain(planned)
    }

    /// Where the range begins that suits it.
    fn range(&self) -> u16 {
        let number = self.port.map_or(0, Port::number);
        let name = self.name.as_deref().unwrap_or_default();
        if DATABASE_PORTS.contains(&number) {
            DATABASES
        } else if HTTP_PORTS.contains(&number) || name.starts_with("http") || name.starts_with("web") {
            HTTP
        } else {
            OTHERS
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::{Kind, ObjectKey, PortName};

    fn port(number: u16) -> Port {
        Port::new(number).unwrap()
    }

    fn wanted(name: &str, number: u16, protocol: Protocol) -> Wanted {
        let object = ObjectKey { kind: Kind::Service, namespace: "shop".to_owned(), name: name.to_owned() };
        Wanted {
            addresses: HostAddresses::loopback(),
            port: None,
            protocol,
            target: Target::Object { object, port: PortName::Number(port(number)) },
            advice: Advice { port: Some(port(number)), ..Advice::default() },
        }
    }

    fn service(name: &str, number: u16) -> Wanted {
        wanted(name, number, Protocol::Tcp)
    }

    fn chosen(wanted: Vec<Wanted>, taken: &[u16]) -> Vec<u16> {
        let mappings = assign(wanted, &[], |local| !taken.contains(&local.port.number())).unwrap();
        mappings.iter().map(|mapping| mapping.local.port.number()).collect()
    }

    #[test]
    fn a_node_port_is_the_host_port_too() {
        let mut echo = service("echo", 9999);
        echo.advice.node_port = Some(port(30999));
        assert_eq!(chosen(vec![echo.clone()], &[]), [30999]);
        assert_eq!(chosen(vec![echo], &[30999]), [9999]);
    }

    #[test]
    fn a_port_that_needs_no_root_is_kept_where_it_is_free() {
        assert_eq!(chosen(vec![service("db", 5432)], &[]), [5432]);
        assert_eq!(chosen(vec![service("a", 8080), service("b", 8080)], &[]), [8080, 30080]);
    }

    #[test]
    fn the_plan_keeps_the_last_two_digits() {
        let taken = [3306, 6379, 8080, 9999];
        let wanted = [80, 3306, 6379, 9999, 53].map(|number| service(&format!("s{number}"), number));
        assert_eq!(chosen(wanted.to_vec(), &taken), [30080, 30306, 30379, 30999, 30953]);
        assert_eq!(chosen(vec![service("web", 80)], &[30080, 30081]), [30082]);
        assert_eq!(chosen(vec![service("tcp", 9999)], &[9999, 30999]), [30900], "it goes round within its range");
    }

    #[test]
    fn a_name_tells_of_http() {
        let mut odd = service("odd", 81);
        odd.advice.name = Some("http-admin".to_owned());
        assert_eq!(chosen(vec![odd], &[]), [30081]);
    }

    #[test]
    fn both_protocols_of_a_target_share_a_port() {
        let dns = vec![wanted("dns", 53, Protocol::Tcp), wanted("dns", 53, Protocol::Udp)];
        assert_eq!(chosen(dns, &[30953]), [30954, 30954]);
    }

    #[test]
    fn what_is_open_keeps_its_port_and_a_named_port_is_nobody_elses() {
        let open = assign(vec![service("web", 80)], &[], |local| local.port.number() == 30081).unwrap();
        let again = assign(vec![service("web", 80)], &open, |_| false).unwrap();
        assert_eq!(again, open);
        let named = Wanted { port: Some(port(8080)), ..service("b", 80) };
        assert_eq!(chosen(vec![service("a", 8080), named], &[]), [30080, 8080]);
    }

    #[test]
    fn a_full_range_is_an_error_that_says_what_to_type() {
        let error = assign(vec![service("web", 80)], &[], |_| false).unwrap_err();
        assert_eq!(
            error.to_string(),
            "no host port is free for svc/web.shop:80: neither its own, nor one of 30000-30099"
        );
        assert_eq!(error.hint(), "name a host port, as 40000:svc/web.shop:80");
    }
}
