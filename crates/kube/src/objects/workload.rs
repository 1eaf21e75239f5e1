//! Deployments, `StatefulSet`s and `DaemonSet`s: which pods are theirs.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Item, Meta};

#[derive(Deserialize)]
pub(super) struct Raw {
    metadata: Meta,
    #[serde(default)]
    spec: Spec,
}

#[derive(Default, Deserialize)]
struct Spec {
    selector: Option<Selector>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Selector {
    match_labels: Option<BTreeMap<String, String>>,
    match_expressions: Option<Vec<Expression>>,
}

#[derive(Deserialize)]
struct Expression {
    key: String,
    operator: String,
    values: Option<Vec<String>>,
}

impl super::Raw for Raw {
    fn parts(self) -> (Meta, Item) {
        (self.metadata, Item::Workload(self.spec.selector.and_then(Selector::text)))
    }
}

impl Selector {
    /// As an API request has it: `app=web,tier in (a,b),!old`. None for an empty one, which would select every pod of
    /// the namespace (the API server accepts no such workload), and for one that is not understood.
    fn text(self) -> Option<String> {
        let labels = self.match_labels.into_iter().flatten().map(|(key, value)| Some(format!("{key}={value}")));
        let expressions = self.match_expressions.into_iter().flatten().map(Expression::text);
        let terms: Vec<String> = labels.chain(expressions).collect::<Option<_>>()?;
        (!terms.is_empty()).then(|| terms.join(","))
    }
}

impl Expression {
    fn text(self) -> Option<String> {
        let Self { key, operator, values } = self;
        let values = values.unwrap_or_default().join(",");
        match operator.as_str() {
            "In" => Some(format!("{key} in ({values})")),
            "NotIn" => Some(format!("{key} notin ({values})")),
            "Exists" => Some(key),
            "DoesNotExist" => Some(format!("!{key}")),
            _ => None,
        }
    }
}
