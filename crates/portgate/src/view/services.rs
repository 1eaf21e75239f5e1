//! The rows of `portgate services`.

use portgate_core::kubernetes::{ObjectKey, Service, ServicePort};
use portgate_core::mapping::Local;
use portgate_core::table::{NoBackend, Resolution};
use serde::Serialize;

use super::Row;

/// A port of a Service.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ServiceRow {
    /// The Service's namespace.
    pub(crate) namespace: String,
    /// Its name.
    pub(crate) name: String,
    /// How it is exposed: its `spec.type`.
    #[serde(rename = "type")]
    pub(crate) exposure: &'static str,
    /// The port; none of a Service that has none.
    pub(crate) port: Option<ServicePort>,
    /// How many of its endpoints are ready.
    pub(crate) ready: usize,
    /// How a gate reaches it: `node`, `route` or `api`; none if it does not.
    pub(crate) reach: Option<&'static str>,
    /// Why it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) why: Option<NoBackend>,
    /// Where it is open.
    pub(crate) open: Vec<Local>,
}

impl ServiceRow {
    /// The row of one port, and where it leads.
    pub(crate) fn new(
        key: &ObjectKey,
        service: &Service,
        port: Option<ServicePort>,
        resolution: Resolution,
        open: Vec<Local>,
    ) -> Self {
        let (reach, why) = match resolution {
            Ok(backends) => (backends.first().map(|backend| backend.reach.name()), None),
            Err(why) => (None, Some(why)),
        };
        Self {
            namespace: key.namespace.clone(),
            name: key.name.clone(),
            exposure: service.exposure.name(),
            port,
            ready: service.ready().count(),
            reach,
            why,
            open,
        }
    }

    fn port_cell(&self) -> String {
        let Some(port) = &self.port else { return "-".to_owned() };
        match port.node_port {
            Some(node_port) => format!("{}:{node_port}/{}", port.port, port.protocol),
            None => format!("{}/{}", port.port, port.protocol),
        }
    }

    fn reach_cell(&self) -> String {
        match (self.reach, &self.why) {
            (Some(reach), _) => reach.to_owned(),
            (None, Some(why)) => why.to_string(),
            (None, None) => "-".to_owned(),
        }
    }
}

impl Row for ServiceRow {
    fn titles(wide: bool) -> Vec<&'static str> {
        let mut titles = vec!["NAMESPACE", "NAME", "TYPE", "PORT", "PORT NAME", "REACH", "OPEN"];
        if wide {
            titles.push("READY");
        }
        titles
    }

    fn cells(&self, wide: bool) -> Vec<String> {
        let name = self.port.as_ref().and_then(|port| port.name.clone());
        let open: Vec<String> = self.open.iter().map(ToString::to_string).collect();
        let mut cells = vec![
            self.namespace.clone(),
            self.name.clone(),
            self.exposure.to_owned(),
            self.port_cell(),
            name.unwrap_or_else(|| "-".to_owned()),
            self.reach_cell(),
            if open.is_empty() { "-".to_owned() } else { open.join(",") },
        ];
        if wide {
            cells.push(self.ready.to_string());
        }
        cells
    }

    fn name(&self) -> String {
        match &self.port {
            Some(port) => format!("svc/{}.{}:{}", self.name, self.namespace, port.port),
            None => format!("svc/{}.{}", self.name, self.namespace),
        }
    }
}

#[cfg(test)]
mod tests {
    use portgate_core::kubernetes::{Kind, PortName};
    use portgate_core::mapping::HostAddresses;
    use portgate_core::port::{Port, Protocol};

    use super::*;
    use crate::view::hostile::check_row;

    #[test]
    fn names_of_an_api_server_cannot_reach_the_terminal() {
        let port = Port::new(80).unwrap();
        let row = |text: &str, why: Option<NoBackend>| ServiceRow {
            namespace: text.to_owned(),
            name: text.to_owned(),
            exposure: "ClusterIP",
            port: Some(ServicePort { name: Some(text.to_owned()), protocol: Protocol::Tcp, port, node_port: None }),
            ready: 1,
            reach: None,
            why,
            open: vec![Local { addresses: HostAddresses::loopback(), port, protocol: Protocol::Tcp }],
        };
        let object = |text: &str| ObjectKey { kind: Kind::Service, namespace: text.to_owned(), name: text.to_owned() };
        let unknown = |text: &str| {
            let (object, port) = (object(text), PortName::Name(text.to_owned()));
            NoBackend::NoPort { object, port, protocol: Protocol::Tcp }
        };
        check_row(|text| row(text, Some(unknown(text))));
        check_row(|text| row(text, None));
    }
}
