//! What is asked of an API server: which objects, by which requests.

use std::fmt;
use std::time::Duration;

use http::Request;
use kube::core::params::{ListParams, WatchParams};
use kube::core::request;
use portgate_core::kubernetes::Kind;

/// How many objects a page of a list has at most. A pod has some 10 KB of JSON, so a page takes about 1 MiB for a moment.
const PAGE: u32 = 100;

/// The label that says whose endpoints an `EndpointSlice` has.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// A collection of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resource {
    /// Services.
    Services,
    /// The endpoints of Services.
    EndpointSlices,
    /// Pods.
    Pods,
    /// Deployments.
    Deployments,
    /// `StatefulSet`s.
    StatefulSets,
    /// `DaemonSet`s.
    DaemonSets,
    /// Nodes, which belong to no namespace.
    Nodes,
    /// Namespaces, which belong to none either.
    Namespaces,
    /// Connections to pods, which are made and never listed.
    PortForwards,
}

impl Resource {
    /// Its API group; empty for the core group.
    pub const fn group(self) -> &'static str {
        match self {
            Self::Services | Self::Pods | Self::Nodes | Self::Namespaces | Self::PortForwards => "",
            Self::EndpointSlices => "discovery.k8s.io",
            Self::Deployments | Self::StatefulSets | Self::DaemonSets => "apps",
        }
    }

    /// Its name in paths and in rules of RBAC.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Services => Kind::Service.resource(),
            Self::EndpointSlices => "endpointslices",
            Self::Pods => Kind::Pod.resource(),
            Self::Deployments => Kind::Deployment.resource(),
            Self::StatefulSets => Kind::StatefulSet.resource(),
            Self::DaemonSets => Kind::DaemonSet.resource(),
            Self::Nodes => "nodes",
            Self::Namespaces => "namespaces",
            Self::PortForwards => "pods/portforward",
        }
    }

    /// Whether its objects belong to namespaces.
    pub const fn is_namespaced(self) -> bool {
        !matches!(self, Self::Nodes | Self::Namespaces)
    }

    /// Whether its objects have pods of their own.
    pub(crate) const fn is_workload(self) -> bool {
        matches!(self, Self::Deployments | Self::StatefulSets | Self::DaemonSets)
    }

    fn path(self, namespace: Option<&str>) -> String {
        let base = match self.group() {
            "" => "/api/v1".to_owned(),
            group => format!("/apis/{group}/v1"),
        };
        match namespace {
            Some(namespace) => format!("{base}/namespaces/{namespace}/{}", self.name()),
            None => format!("{base}/{}", self.name()),
        }
    }
}

impl From<Kind> for Resource {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Service => Self::Services,
            Kind::Pod => Self::Pods,
            Kind::Deployment => Self::Deployments,
            Kind::StatefulSet => Self::StatefulSets,
            Kind::DaemonSet => Self::DaemonSets,
        }
    }
}

impl fmt::Display for Resource {
    /// As kubectl's `--resource` takes it: `services`, `endpointslices.discovery.k8s.io`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.group() {
            "" => f.write_str(self.name()),
            group => write!(f, "{}.{group}", self.name()),
        }
    }
}

/// Some objects of a collection.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Selection {
    pub(crate) resource: Resource,
    /// Their namespace; none for all.
    pub(crate) namespace: Option<String>,
    pub(crate) by: By,
}

/// Which objects of a collection.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum By {
    /// All of them.
    All,
    /// The one of this name. Whoever may see no other may ask so.
    Name(String),
    /// The slices of the Service of this name.
    Service(String),
    /// Those with labels that this selector describes.
    Labels(String),
}

impl By {
    fn fields(&self) -> Option<String> {
        match self {
            Self::Name(name) => Some(format!("metadata.name={name}")),
            Self::All | Self::Service(_) | Self::Labels(_) => None,
        }
    }

    fn labels(&self) -> Option<String> {
        match self {
            Self::Service(name) => Some(format!("{SERVICE_NAME}={name}")),
            Self::Labels(selector) => Some(selector.clone()),
            Self::All | Self::Name(_) => None,
        }
    }
}

impl Selection {
    fn request(&self) -> request::Request {
        request::Request::new(self.resource.path(self.namespace.as_deref()))
    }

    /// Asks for a page, the first or that of this token.
    pub(crate) fn list(&self, next: Option<String>) -> Result<Request<Vec<u8>>, request::Error> {
        self.request().list(&self.page(next))
    }

    /// Asks for a page of nothing but metadata.
    pub(crate) fn list_names(&self, next: Option<String>) -> Result<Request<Vec<u8>>, request::Error> {
        self.request().list_metadata(&self.page(next))
    }

    fn page(&self, next: Option<String>) -> ListParams {
        ListParams {
            label_selector: self.by.labels(),
            field_selector: self.by.fields(),
            limit: Some(PAGE),
            continue_token: next,
            ..ListParams::default()
        }
    }

    /// Asks for all changes after this resource version; the server is to end its answer after `limit`, in seconds.
    pub(crate) fn watch(&self, version: &str, limit: Duration) -> Result<Request<Vec<u8>>, request::Error> {
        let parameters = WatchParams {
            label_selector: self.by.labels(),
            field_selector: self.by.fields(),
            timeout: Some(u32::try_from(limit.as_secs()).unwrap_or(u32::MAX)),
            bookmarks: true,
            send_initial_events: false,
        };
        self.request().watch(&parameters, version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selection(resource: Resource, namespace: Option<&str>, by: By) -> Selection {
        Selection { resource, namespace: namespace.map(str::to_owned), by }
    }

    #[test]
    fn a_list_asks_for_pages_of_what_is_selected() {
        let all = selection(Resource::Nodes, None, By::All);
        assert_eq!(all.list(None).unwrap().uri(), "/api/v1/nodes?&limit=100");
        let one = selection(Resource::Services, Some("shop"), By::Name("web".to_owned()));
        assert_eq!(
            one.list(Some("next".to_owned())).unwrap().uri(),
            "/api/v1/namespaces/shop/services?&fieldSelector=metadata.name%3Dweb&limit=100&continue=next"
        );
        let names = all.list_names(None).unwrap();
        assert!(names.headers()["accept"].to_str().unwrap().contains("PartialObjectMetadataList"));
    }

    #[test]
    fn a_watch_asks_for_bookmarks_from_a_version_on() {
        let slices = selection(Resource::EndpointSlices, Some("shop"), By::Service("web".to_owned()));
        assert_eq!(
            slices.watch("345", Duration::from_mins(5)).unwrap().uri(),
            "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices?&watch=true&timeoutSeconds=300\
             &labelSelector=kubernetes.io%2Fservice-name%3Dweb&allowWatchBookmarks=true&resourceVersion=345"
        );
    }

    #[test]
    fn a_resource_is_called_as_kubectl_does() {
        assert_eq!(Resource::Services.to_string(), "services");
        assert_eq!(Resource::EndpointSlices.to_string(), "endpointslices.discovery.k8s.io");
        for kind in Kind::ALL {
            assert_eq!(Resource::from(kind).name(), kind.resource());
        }
    }
}
