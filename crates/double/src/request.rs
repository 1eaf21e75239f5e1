//! What a request is about: its path and method in the words of RBAC.

use hyper::Method;
use serde::{Deserialize, Serialize};

use crate::resource::{Resource, Verb};
use crate::status::Status;

/// A path that the server knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// `/version`, for example.
    Document(Document),
    /// Objects, or a port-forward.
    Objects(Attributes),
}

/// What is the same for everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Document {
    Version,
    /// The versions of the core group.
    Core,
    Groups,
    /// The resources of a group.
    Resources(&'static str),
}

/// What a request does, and to what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attributes {
    pub(crate) verb: Verb,
    pub(crate) resource: Resource,
    pub(crate) namespace: Option<String>,
    pub(crate) name: Option<String>,
    /// Whether a list or a watch is of one object only, by its name.
    pub(crate) selects_one: bool,
}

/// The groups that are served, all in version `v1`.
pub(crate) const GROUPS: [&str; 3] = ["", "apps", "discovery.k8s.io"];

impl Target {
    pub(crate) fn parse(method: &Method, path: &str, watch: bool) -> Result<Self, Status> {
        let parts: Vec<&str> = path.split('/').skip(1).collect();
        let parts = parts.strip_suffix(&[""]).unwrap_or(&parts);
        let (group, rest) = match parts {
            ["version"] => return document(method, Document::Version),
            ["api"] => return document(method, Document::Core),
            ["apis"] => return document(method, Document::Groups),
            ["api", "v1", rest @ ..] => ("", rest),
            ["apis", group, "v1", rest @ ..] => (*group, rest),
            _ => return Err(Status::no_such_resource()),
        };
        let group = GROUPS.into_iter().find(|known| *known == group).ok_or_else(Status::no_such_resource)?;
        if rest.is_empty() {
            return document(method, Document::Resources(group));
        }
        let (namespace, plural, name, forward) = match rest {
            [plural] => (None, *plural, None, false),
            [plural, name] => (None, *plural, Some(*name), false),
            ["namespaces", namespace, plural] => (Some(*namespace), *plural, None, false),
            ["namespaces", namespace, plural, name] => (Some(*namespace), *plural, Some(*name), false),
            ["namespaces", namespace, "pods", name, "portforward"] => (Some(*namespace), "pods", Some(*name), true),
            _ => return Err(Status::no_such_resource()),
        };
        let mut resource = Resource::in_group(group, plural).ok_or_else(Status::no_such_resource)?;
        // An object of a namespace has no path without it, and one of the cluster none with it.
        if resource.is_namespaced() != namespace.is_some() && (namespace.is_some() || name.is_some()) {
            return Err(Status::no_such_resource());
        }
        if forward {
            resource = Resource::PortForward;
        }
        // RBAC counts a namespace to itself.
        let namespace = if resource == Resource::Namespaces { name } else { namespace };
        let verb = verb(method, forward, name.is_some(), watch)?;
        let (namespace, name) = (namespace.map(str::to_owned), name.map(str::to_owned));
        Ok(Self::Objects(Attributes { verb, resource, namespace, name, selects_one: false }))
    }
}

fn document(method: &Method, document: Document) -> Result<Target, Status> {
    if *method == Method::GET { Ok(Target::Document(document)) } else { Err(Status::method_not_allowed()) }
}

fn verb(method: &Method, forward: bool, one: bool, watch: bool) -> Result<Verb, Status> {
    match *method {
        Method::POST if forward => Ok(Verb::Create),
        Method::GET if one => Ok(Verb::Get),
        Method::GET if watch => Ok(Verb::Watch),
        Method::GET => Ok(Verb::List),
        _ => Err(Status::method_not_allowed()),
    }
}

/// A choice of requests. What is not said is not looked at: by default it is every request, even one for `/version`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Requests {
    /// Only of this verb.
    pub verb: Option<Verb>,
    /// Only for this resource.
    pub resource: Option<Resource>,
    /// Only in this namespace; a request for all namespaces is not among them.
    pub namespace: Option<String>,
    /// Only those that name no object, neither in the path nor in a field selector: what somebody may not do to whom RBAC
    /// allows it for some objects.
    pub unnamed: bool,
}

impl Requests {
    /// Every request.
    pub fn all() -> Self {
        Self::default()
    }

    /// The requests that do this to the resource, wherever it is.
    pub fn to(verb: Verb, resource: Resource) -> Self {
        Self { verb: Some(verb), resource: Some(resource), ..Self::default() }
    }

    /// Of them, those in the namespace.
    #[must_use]
    pub fn in_namespace(self, namespace: &str) -> Self {
        Self { namespace: Some(namespace.to_owned()), ..self }
    }

    /// Of them, those that name no object.
    #[must_use]
    pub fn unnamed(self) -> Self {
        Self { unnamed: true, ..self }
    }

    pub(crate) fn cover(&self, target: &Target) -> bool {
        match target {
            Target::Document(_) => *self == Self::default(),
            Target::Objects(request) => self.cover_objects(request),
        }
    }

    pub(crate) fn cover_objects(&self, request: &Attributes) -> bool {
        self.verb.is_none_or(|verb| verb == request.verb)
            && self.resource.is_none_or(|resource| resource == request.resource)
            && (self.namespace.is_none() || self.namespace == request.namespace)
            && !(self.unnamed && (request.selects_one || request.name.is_some()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objects(method: &Method, path: &str) -> Attributes {
        match Target::parse(method, path, false).unwrap() {
            Target::Objects(attributes) => attributes,
            Target::Document(document) => panic!("{document:?}"),
        }
    }

    #[test]
    fn a_path_says_what_a_request_is_about() {
        let one = objects(&Method::GET, "/apis/apps/v1/namespaces/shop/deployments/web");
        assert_eq!((one.verb, one.resource), (Verb::Get, Resource::Deployments));
        assert_eq!((one.namespace.as_deref(), one.name.as_deref()), (Some("shop"), Some("web")));

        let all = objects(&Method::GET, "/api/v1/pods");
        assert_eq!((all.verb, all.namespace), (Verb::List, None));
        let namespace = objects(&Method::GET, "/api/v1/namespaces/shop");
        assert_eq!((namespace.resource, namespace.name.as_deref()), (Resource::Namespaces, Some("shop")));

        let forward = objects(&Method::POST, "/api/v1/namespaces/shop/pods/web/portforward");
        assert_eq!((forward.verb, forward.resource), (Verb::Create, Resource::PortForward));
    }

    #[test]
    fn a_path_that_a_cluster_does_not_have_is_not_found() {
        for path in ["/api/v1/pods/web", "/api/v1/namespaces/shop/nodes", "/api/v1/secrets", "/apis/batch/v1/jobs"] {
            assert_eq!(Target::parse(&Method::GET, path, false).unwrap_err().code, 404, "{path}");
        }
    }

    #[test]
    fn requests_of_another_namespace_are_not_covered() {
        let choice = Requests::to(Verb::List, Resource::Pods).in_namespace("shop");
        assert!(choice.cover_objects(&objects(&Method::GET, "/api/v1/namespaces/shop/pods")));
        assert!(!choice.cover_objects(&objects(&Method::GET, "/api/v1/pods")));
        assert!(!choice.cover_objects(&objects(&Method::GET, "/api/v1/namespaces/shop/services")));
        assert!(Requests::all().cover(&Target::Document(Document::Version)));
        assert!(!choice.cover(&Target::Document(Document::Version)));
    }

    #[test]
    fn requests_that_name_an_object_are_not_covered_by_those_that_name_none() {
        let choice = Requests::to(Verb::List, Resource::Pods).unnamed();
        let mut list = objects(&Method::GET, "/api/v1/namespaces/shop/pods");
        assert!(choice.cover_objects(&list));
        list.selects_one = true;
        assert!(!choice.cover_objects(&list));
        let get = Requests { resource: Some(Resource::Pods), ..Requests::default() }.unnamed();
        assert!(!get.cover_objects(&objects(&Method::GET, "/api/v1/namespaces/shop/pods/web")));
    }
}
