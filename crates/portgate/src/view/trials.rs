//! The rows of `portgate test`, and of `open` once it has tested.

use super::Row;
use crate::trial::Trial;

impl Row for Trial {
    fn titles(wide: bool) -> Vec<&'static str> {
        let mut titles = vec!["LOCAL", "TARGET", "TEST"];
        if wide {
            titles.push("HOPS");
        }
        titles
    }

    fn cells(&self, wide: bool) -> Vec<String> {
        let mut cells = vec![
            self.local.to_string(),
            self.target.to_string(),
            format!("{}: {}", self.verdict.name(), self.summary()),
        ];
        if wide {
            cells.push(self.hops.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "));
        }
        cells
    }

    fn name(&self) -> String {
        self.local.to_string()
    }
}
