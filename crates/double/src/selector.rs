//! Label selectors and field selectors.

use serde_json::Value;

use crate::resource::Resource;
use crate::status::Status;

/// What an object must satisfy to be seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Selector {
    labels: Vec<Requirement>,
    fields: Vec<(Field, Requirement)>,
}

/// A condition on the value of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Absent(String),
}

/// A field that can be selected by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Field(&'static str);

impl Selector {
    pub(crate) fn parse(resource: Resource, labels: &str, fields: &str) -> Result<Self, Status> {
        let labels = split(labels).into_iter().map(label).collect::<Result<_, _>>()?;
        let fields = split(fields).into_iter().map(|text| field(resource, text)).collect::<Result<_, _>>()?;
        Ok(Self { labels, fields })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    pub(crate) fn matches(&self, object: &Value) -> bool {
        let labels = &object["metadata"]["labels"];
        self.labels.iter().all(|requirement| requirement.holds(|key| labels[key].as_str()))
            && self.fields.iter().all(|(field, requirement)| requirement.holds(|_| Some(field.of(object))))
    }
}

impl Requirement {
    fn holds<'a>(&self, value: impl Fn(&str) -> Option<&'a str>) -> bool {
        let among = |key: &str, values: &[String]| value(key).is_some_and(|value| values.iter().any(|v| v == value));
        match self {
            Self::In(key, values) => among(key, values),
            Self::NotIn(key, values) => !among(key, values),
            Self::Exists(key) => value(key).is_some(),
            Self::Absent(key) => value(key).is_none(),
        }
    }
}

impl Field {
    /// The value; empty where the object has none.
    fn of(self, object: &Value) -> &str {
        self.0.split('.').fold(object, |value, part| &value[part]).as_str().unwrap_or_default()
    }

    fn named(resource: Resource, name: &str) -> Result<Self, Status> {
        let more: &[&'static str] = match resource {
            Resource::Pods => &["spec.nodeName", "status.phase"],
            _ => &[],
        };
        let known = ["metadata.name", "metadata.namespace"].iter().chain(more).find(|known| **known == name);
        known.map(|known| Self(known)).ok_or_else(|| Status::bad_request(unknown_field(resource, name)))
    }
}

fn unknown_field(resource: Resource, name: &str) -> String {
    match resource {
        Resource::Pods | Resource::Nodes | Resource::Namespaces | Resource::Services => {
            format!("field label not supported: {name}")
        }
        _ => format!("{name:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\""),
    }
}

/// The requirements, which commas part; not those in parentheses.
fn split(text: &str) -> Vec<&str> {
    let mut depth = 0_usize;
    let parts = text.split(|character| {
        match character {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        character == ',' && depth == 0
    });
    parts.map(str::trim).filter(|part| !part.is_empty()).collect()
}

fn label(text: &str) -> Result<Requirement, Status> {
    let wrong = || Status::bad_request(format!("unable to parse requirement: found '{text}'"));
    if let Some(requirement) = equality(text) {
        return Ok(requirement);
    }
    if let Some((head, values)) = text.split_once('(') {
        let values = values.strip_suffix(')').ok_or_else(wrong)?;
        let values = values.split(',').map(|value| value.trim().to_owned()).collect();
        return match head.split_whitespace().collect::<Vec<_>>().as_slice() {
            [key, "in"] => Ok(Requirement::In((*key).to_owned(), values)),
            [key, "notin"] => Ok(Requirement::NotIn((*key).to_owned(), values)),
            _ => Err(wrong()),
        };
    }
    let (absent, key) = text.strip_prefix('!').map_or((false, text), |key| (true, key.trim()));
    if key.is_empty() || key.contains(|c: char| c.is_whitespace() || "!=<>()".contains(c)) {
        return Err(wrong());
    }
    Ok(if absent { Requirement::Absent(key.to_owned()) } else { Requirement::Exists(key.to_owned()) })
}

fn field(resource: Resource, text: &str) -> Result<(Field, Requirement), Status> {
    let invalid = || Status::bad_request(format!("invalid selector: '{text}'; can't understand '{text}'"));
    let requirement = equality(text).ok_or_else(invalid)?;
    let (Requirement::In(name, _) | Requirement::NotIn(name, _)) = &requirement else { return Err(invalid()) };
    Ok((Field::named(resource, name)?, requirement))
}

/// `KEY=VALUE`, `KEY==VALUE` or `KEY!=VALUE`.
fn equality(text: &str) -> Option<Requirement> {
    let (key, value) = text.split_once('=')?;
    let values = vec![value.strip_prefix('=').unwrap_or(value).trim().to_owned()];
    Some(match key.strip_suffix('!') {
        Some(key) => Requirement::NotIn(key.trim().to_owned(), values),
        None => Requirement::In(key.trim().to_owned(), values),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod() -> Value {
        json!({
            "metadata": {"name": "web-1", "namespace": "shop", "labels": {"app": "web", "tier": "front"}},
            "spec": {"nodeName": "node-a"},
            "status": {"phase": "Running"},
        })
    }

    fn selects(labels: &str, fields: &str) -> bool {
        Selector::parse(Resource::Pods, labels, fields).unwrap().matches(&pod())
    }

    #[test]
    fn labels_are_compared_and_looked_for() {
        for yes in ["", "app=web", "app==web,tier=front", "app!=db", "app in (db, web),tier", "zone notin (a)", "!zone"]
        {
            assert!(selects(yes, ""), "{yes}");
        }
        for no in ["app=db", "app!=web", "app in (db)", "app notin (web,db)", "zone", "!app", "zone in (a,b)"] {
            assert!(!selects(no, ""), "{no}");
        }
    }

    #[test]
    fn fields_are_compared() {
        assert!(selects("", "metadata.name=web-1,metadata.namespace==shop,status.phase!=Failed"));
        assert!(selects("", "spec.nodeName=node-a"));
        assert!(!selects("", "spec.nodeName=node-b"));
    }

    #[test]
    fn what_is_no_selector_is_refused() {
        let refused = |resource, labels, fields| Selector::parse(resource, labels, fields).unwrap_err().to_string();
        assert_eq!(refused(Resource::Pods, "app in (web", ""), "unable to parse requirement: found 'app in (web'");
        assert_eq!(refused(Resource::Pods, "a b", ""), "unable to parse requirement: found 'a b'");
        assert_eq!(refused(Resource::Services, "", "spec.foo=1"), "field label not supported: spec.foo");
        let unknown = "\"spec.foo\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"";
        assert_eq!(refused(Resource::EndpointSlices, "", "spec.foo=1"), unknown);
    }
}
