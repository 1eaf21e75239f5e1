//! The text of a kubeconfig that is not trusted: names and their fields, and of each field no more than its text.

use std::collections::BTreeMap;
use std::fmt;

use portgate_core::limits::KUBECONFIG_NODES;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::super::error::Unfit;

/// How deep its lists and maps may lie in one another. That of k3s has 4 levels.
const DEPTH: usize = 16;

/// A kubeconfig.
#[derive(serde::Deserialize)]
pub(super) struct Document {
    #[serde(rename = "current-context", default)]
    current: Option<String>,
    #[serde(default, deserialize_with = "or_none")]
    contexts: Vec<Named>,
    #[serde(default, deserialize_with = "or_none")]
    pub(super) clusters: Vec<Named>,
    #[serde(default, deserialize_with = "or_none")]
    pub(super) users: Vec<Named>,
}

/// A context, a cluster or a user.
#[derive(serde::Deserialize)]
pub(super) struct Named {
    pub(super) name: String,
    #[serde(alias = "context", alias = "cluster", alias = "user", default, deserialize_with = "or_none")]
    pub(super) fields: Fields,
}

/// The fields of one of them.
#[derive(Default, serde::Deserialize)]
pub(super) struct Fields(BTreeMap<String, Field>);

/// What stands in a field.
enum Field {
    /// Nothing: null, `false`, an empty text, list or map.
    Empty,
    Text(String),
    /// Something else.
    Other,
}

fn or_none<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

impl Document {
    /// Reads the text. Aliases, with which a short text can stand for a long one, are not taken.
    pub(super) fn read(text: &str) -> Result<Self, serde_saphyr::Error> {
        let options = serde_saphyr::options! {
            budget: serde_saphyr::budget! {
                max_aliases: 0,
                max_anchors: 0,
                max_documents: 1,
                max_depth: DEPTH,
                max_nodes: KUBECONFIG_NODES.most,
                max_events: 4 * KUBECONFIG_NODES.most,
            },
            with_snippet: false,
        };
        serde_saphyr::from_str_with_options(text, options)
    }

    /// The current context, else the first.
    pub(super) fn context(&self) -> Option<&Fields> {
        let current = self.current.as_deref().filter(|name| !name.is_empty());
        let context = match current {
            Some(name) => self.contexts.iter().find(|context| context.name == name),
            None => self.contexts.first(),
        };
        context.map(|context| &context.fields)
    }
}

impl Fields {
    /// The text of a field; none if it is empty or not there.
    pub(super) fn text(&self, part: &'static str, field: &'static str) -> Result<Option<&str>, Unfit> {
        match self.0.get(field) {
            None | Some(Field::Empty) => Ok(None),
            Some(Field::Text(text)) => Ok(Some(text)),
            Some(Field::Other) => Err(Unfit::Malformed { part, field }),
        }
    }

    /// Fails if something stands in one of these fields.
    pub(super) fn refuse(&self, part: &'static str, fields: &[&'static str]) -> Result<(), Unfit> {
        let is_set = |field: &&&'static str| !matches!(self.0.get(**field), None | Some(Field::Empty));
        match fields.iter().find(is_set) {
            Some(field) => Err(Unfit::Refused { part, field }),
            None => Ok(()),
        }
    }
}

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyField)
    }
}

struct AnyField;

impl<'de> Visitor<'de> for AnyField {
    type Value = Field;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_bool<E>(self, is_set: bool) -> Result<Field, E> {
        Ok(if is_set { Field::Other } else { Field::Empty })
    }

    fn visit_i64<E>(self, _: i64) -> Result<Field, E> {
        Ok(Field::Other)
    }

    fn visit_i128<E>(self, _: i128) -> Result<Field, E> {
        Ok(Field::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Field, E> {
        Ok(Field::Other)
    }

    fn visit_u128<E>(self, _: u128) -> Result<Field, E> {
        Ok(Field::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Field, E> {
        Ok(Field::Other)
    }

    fn visit_str<E>(self, text: &str) -> Result<Field, E> {
        Ok(if text.is_empty() { Field::Empty } else { Field::Text(text.to_owned()) })
    }

    fn visit_none<E>(self) -> Result<Field, E> {
        Ok(Field::Empty)
    }

    fn visit_unit<E>(self) -> Result<Field, E> {
        Ok(Field::Empty)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Field, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Field, A::Error> {
        let mut field = Field::Empty;
        while list.next_element::<IgnoredAny>()?.is_some() {
            field = Field::Other;
        }
        Ok(field)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Field, A::Error> {
        let mut field = Field::Empty;
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
            field = Field::Other;
        }
        Ok(field)
    }
}
