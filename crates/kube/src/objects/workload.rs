//! Deployments, `StatefulSet`s and `DaemonSet`s: which pods are theirs.

use std::fmt;

use portgate_core::limits::{API_PARAMETER, Limit};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::sequence::converted;
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
    #[serde(default, deserialize_with = "labels")]
    match_labels: Terms,
    #[serde(default, deserialize_with = "expressions")]
    match_expressions: Terms,
}

/// Terms with commas between them, as an API request has them: `app=web,tier in (a,b),!old`.
#[derive(Default)]
struct Terms {
    text: String,
    /// Whether there is one that is not understood.
    is_unclear: bool,
}

#[derive(Deserialize)]
struct Expression {
    key: String,
    operator: String,
    #[serde(default, deserialize_with = "joined")]
    values: String,
}

impl super::Raw for Raw {
    fn parts(self) -> Result<(Meta, Item), Limit> {
        let selector = self.spec.selector.and_then(Selector::text);
        if selector.as_ref().is_some_and(|text| text.len() > API_PARAMETER.most) {
            return Err(API_PARAMETER);
        }
        Ok((self.metadata, Item::Workload(selector)))
    }
}

impl Selector {
    /// None for an empty one, which would select every pod of the namespace (the API server accepts no such workload),
    /// and for one that is not understood.
    fn text(self) -> Option<String> {
        let Self { match_labels: mut all, match_expressions: more } = self;
        if !more.text.is_empty() {
            all.add(&more.text);
        }
        (!more.is_unclear && !all.text.is_empty()).then_some(all.text)
    }
}

impl Terms {
    fn add(&mut self, term: &str) {
        if !self.text.is_empty() {
            self.text.push(',');
        }
        self.text.push_str(term);
    }
}

impl Expression {
    fn text(self) -> Option<String> {
        let Self { key, operator, values } = self;
        match operator.as_str() {
            "In" => Some(format!("{key} in ({values})")),
            "NotIn" => Some(format!("{key} notin ({values})")),
            "Exists" => Some(key),
            "DoesNotExist" => Some(format!("!{key}")),
            _ => None,
        }
    }
}

fn expressions<'de, D: Deserializer<'de>>(list: D) -> Result<Terms, D::Error> {
    let mut terms = Terms::default();
    converted(list, |expression: Expression| {
        match expression.text() {
            Some(text) => terms.add(&text),
            None => terms.is_unclear = true,
        }
        None::<()>
    })?;
    Ok(terms)
}

fn joined<'de, D: Deserializer<'de>>(values: D) -> Result<String, D::Error> {
    let mut terms = Terms::default();
    converted(values, |value: String| {
        terms.add(&value);
        None::<()>
    })?;
    Ok(terms.text)
}

fn labels<'de, D: Deserializer<'de>>(labels: D) -> Result<Terms, D::Error> {
    labels.deserialize_any(Labels)
}

struct Labels;

impl<'de> Visitor<'de> for Labels {
    type Value = Terms;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("labels")
    }

    fn visit_unit<E>(self) -> Result<Terms, E> {
        Ok(Terms::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut labels: A) -> Result<Terms, A::Error> {
        let mut terms = Terms::default();
        while let Some((key, value)) = labels.next_entry::<String, String>()? {
            terms.add(&format!("{key}={value}"));
        }
        Ok(terms)
    }
}
