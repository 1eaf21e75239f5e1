//! Nodes.

use serde::Deserialize;

use super::{Condition, Item, Meta, is_ready};

#[derive(Deserialize)]
pub(super) struct Raw {
    metadata: Meta,
    #[serde(default)]
    status: Status,
}

#[derive(Default, Deserialize)]
struct Status {
    conditions: Option<Vec<Condition>>,
}

impl super::Raw for Raw {
    fn parts(self) -> (Meta, Item) {
        (self.metadata, Item::Node(is_ready(self.status.conditions)))
    }
}
