//! Nodes.

use portgate_core::limits::Limit;
use serde::Deserialize;

use super::{Item, Meta, is_ready};

#[derive(Deserialize)]
pub(super) struct Raw {
    metadata: Meta,
    #[serde(default)]
    status: Status,
}

#[derive(Default, Deserialize)]
struct Status {
    #[serde(rename = "conditions", default, deserialize_with = "is_ready")]
    is_ready: bool,
}

impl super::Raw for Raw {
    fn parts(self) -> Result<(Meta, Item), Limit> {
        Ok((self.metadata, Item::Node(self.status.is_ready)))
    }
}
