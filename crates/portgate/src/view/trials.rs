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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use portgate_core::control::ProbeOutcome;
    use portgate_core::mapping::{HostAddresses, Local, Target};
    use portgate_core::port::{Port, Protocol};

    use crate::trial::{From, Hop, Trial, Verdict};
    use crate::view::hostile::check_row;

    #[test]
    fn answers_and_reasons_cannot_reach_the_terminal() {
        let port = Port::new(80).unwrap();
        let trial = |text: &str, reason: Option<String>| Trial {
            local: Local { addresses: HostAddresses::loopback(), port, protocol: Protocol::Tcp },
            target: Target::Node { container: text.to_owned(), port },
            verdict: Verdict::Broken,
            hops: vec![Hop {
                from: From::Gate,
                address: "127.0.0.1:80".parse().unwrap(),
                node: Some(text.to_owned()),
                outcome: ProbeOutcome::Failed { message: text.to_owned() },
                elapsed: Duration::from_millis(1500),
            }],
            reason,
            answer: Some(text.to_owned()),
        };
        check_row(|text| trial(text, None));
        check_row(|text| trial(text, Some(text.to_owned())));
    }
}
