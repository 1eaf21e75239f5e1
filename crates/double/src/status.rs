//! The API server's errors: `Status` objects, in its own words.

use serde_json::{Value, json};

use crate::request::Attributes;
use crate::resource::Resource;

/// A failure of a request.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Status {
    pub(crate) code: u16,
    reason: &'static str,
    message: String,
    details: Option<Value>,
    /// The token with which a list that was cut off may be taken up, although not consistently.
    resume: Option<String>,
}

impl Status {
    fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: None, resume: None }
    }

    fn with(mut self, details: Value) -> Self {
        self.details = Some(details);
        self
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    pub(crate) fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }

    pub(crate) fn forbidden(user: &str, request: &Attributes) -> Self {
        let (verb, resource) = (request.verb, request.resource);
        let subject = match &request.name {
            Some(name) => format!("{} {name:?}", qualified(resource)),
            None => qualified(resource),
        };
        let place = match &request.namespace {
            Some(namespace) => format!("in the namespace {namespace:?}"),
            None => "at the cluster scope".to_owned(),
        };
        let what = format!("resource \"{resource}\" in API group {:?}", resource.group());
        let message = format!("{subject} is forbidden: User {user:?} cannot {verb} {what} {place}");
        Self::new(403, "Forbidden", message).with(details(resource, request.name.as_deref()))
    }

    pub(crate) fn forbidden_path(user: &str, path: &str) -> Self {
        Self::new(403, "Forbidden", format!("forbidden: User {user:?} cannot get path {path:?}")).with(json!({}))
    }

    pub(crate) fn not_found(resource: Resource, name: &str) -> Self {
        let message = format!("{} {name:?} not found", qualified(resource));
        Self::new(404, "NotFound", message).with(details(resource, Some(name)))
    }

    /// Nothing is served at the path.
    pub(crate) fn no_such_resource() -> Self {
        Self::new(404, "NotFound", "the server could not find the requested resource").with(json!({}))
    }

    pub(crate) fn method_not_allowed() -> Self {
        Self::new(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
            .with(json!({}))
    }

    pub(crate) fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    /// A list was to be continued whose revision is gone; `token` continues it with what there is now.
    pub(crate) fn expired_list(token: String) -> Self {
        let message = "The provided continue parameter is too old to display a consistent list result. You can start \
             a new list without the continue parameter, or use the continue token in this response to retrieve the \
             remainder of the results. Continuing with the provided token results in an inconsistent list - objects \
             that were created, modified, or deleted between the time the first chunk was returned and now may show \
             up in the list.";
        Self { resume: Some(token), ..Self::expired(message) }
    }

    /// The options contradict one another; each cause is a field and what is wrong with it.
    pub(crate) fn invalid_options(causes: &[(&'static str, Flaw)]) -> Self {
        let text: Vec<String> = causes.iter().map(|(field, flaw)| format!("{field}: {}", flaw.message())).collect();
        let text = if let [only] = text.as_slice() { only.clone() } else { format!("[{}]", text.join(", ")) };
        let causes: Vec<Value> = causes
            .iter()
            .map(|(field, flaw)| json!({"reason": flaw.reason(), "message": flaw.message(), "field": field}))
            .collect();
        Self::new(422, "Invalid", format!("ListOptions.meta.k8s.io \"\" is invalid: {text}"))
            .with(json!({"group": "meta.k8s.io", "kind": "ListOptions", "causes": causes}))
    }

    pub(crate) fn too_many_requests() -> Self {
        Self::new(429, "TooManyRequests", "storage is (re)initializing").with(json!({"retryAfterSeconds": 1}))
    }

    pub(crate) fn internal(cause: &str) -> Self {
        Self::new(500, "InternalError", format!("Internal error occurred: {cause}"))
            .with(json!({"causes": [{"message": cause}]}))
    }

    pub(crate) fn unavailable() -> Self {
        Self::new(503, "ServiceUnavailable", "the server is currently unable to handle the request").with(json!({}))
    }

    /// The client has seen more than there is.
    pub(crate) fn too_large(wanted: u64, current: u64) -> Self {
        let message = format!("Too large resource version: {wanted}, current: {current}");
        let causes = json!([{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]);
        Self::new(504, "Timeout", message).with(json!({"causes": causes, "retryAfterSeconds": 1}))
    }

    /// How long the client is to wait, in seconds.
    pub(crate) fn retry_after(&self) -> Option<u64> {
        self.details.as_ref()?.get("retryAfterSeconds")?.as_u64()
    }

    /// The object.
    pub(crate) fn object(&self) -> Value {
        let metadata = self.resume.as_ref().map_or_else(|| json!({}), |token| json!({"continue": token}));
        let mut object = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": metadata,
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code,
        });
        if let Some(details) = &self.details {
            object["details"] = details.clone();
        }
        object
    }
}

/// What is wrong with an option.
pub(crate) enum Flaw {
    Forbidden(&'static str),
    Unsupported { value: String, supported: &'static str },
}

impl Flaw {
    fn reason(&self) -> &'static str {
        match self {
            Self::Forbidden(_) => "FieldValueForbidden",
            Self::Unsupported { .. } => "FieldValueNotSupported",
        }
    }

    fn message(&self) -> String {
        match self {
            Self::Forbidden(why) => format!("Forbidden: {why}"),
            Self::Unsupported { value, supported } => {
                format!("Unsupported value: {value:?}: supported values: {supported}")
            }
        }
    }
}

/// `RESOURCE.GROUP`, of the resource without its subresource.
fn qualified(resource: Resource) -> String {
    let name = whole(resource);
    match resource.group() {
        "" => name.to_owned(),
        group => format!("{name}.{group}"),
    }
}

fn whole(resource: Resource) -> &'static str {
    match resource {
        Resource::PortForward => Resource::Pods.plural(),
        other => other.plural(),
    }
}

fn details(resource: Resource, name: Option<&str>) -> Value {
    let mut details = json!({"kind": whole(resource)});
    if let Some(name) = name {
        details["name"] = name.into();
    }
    if !resource.group().is_empty() {
        details["group"] = resource.group().into();
    }
    details
}
