//! What is meant: what to measure, how long, how often.

use std::time::Duration;

use anyhow::bail;

use crate::args::BenchArguments;
use crate::load::Window;
use crate::measurement::Measurement;
use crate::path::Path;

/// What to do beside the measurements of paths.
const MEMORY: &str = "memory";

/// See [`MEMORY`].
const COMMANDS: &str = "commands";

/// What to measure.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// On these paths.
    pub(crate) paths: Vec<Path>,
    /// These measurements.
    pub(crate) measurements: Vec<Measurement>,
    /// The gate's memory.
    pub(crate) memory: bool,
    /// The time that commands take.
    pub(crate) commands: bool,
    /// So often.
    pub(crate) rounds: u32,
    /// So long each.
    pub(crate) window: Window,
}

impl Plan {
    /// The plan that the arguments mean. A word restricts what it names; what no word names stays whole.
    pub(crate) fn new(arguments: &BenchArguments) -> anyhow::Result<Self> {
        let named = |name: &str| arguments.only.iter().any(|word| name.contains(word.as_str()));
        let paths: Vec<Path> = Path::ALL.into_iter().filter(|path| named(path.word())).collect();
        let measurements: Vec<Measurement> = Measurement::all().filter(|it| named(&it.to_string())).collect();
        let (memory, commands) = (named(MEMORY), named(COMMANDS));
        if let Some(word) = arguments.only.iter().find(|word| !vocabulary().any(|name| name.contains(word.as_str()))) {
            let vocabulary = vocabulary().collect::<Vec<_>>().join(", ");
            bail!("nothing here is called {word}\nhint: there is {vocabulary}");
        }
        let all = arguments.only.is_empty();
        // A word for a path alone means all measurements of it, and one for a measurement alone, all paths.
        let nothing_else = measurements.is_empty() && !memory && !commands;
        let window = if arguments.quick { (150, 500) } else { (400, 2000) };
        Ok(Self {
            paths: if paths.is_empty() { Path::ALL.to_vec() } else { paths },
            measurements: if nothing_else { Measurement::all().collect() } else { measurements },
            memory: all || memory,
            commands: all || commands,
            rounds: arguments.rounds.unwrap_or(if arguments.quick { 1 } else { 3 }),
            window: Window { warm_up: Duration::from_millis(window.0), length: Duration::from_millis(window.1) },
        })
    }
}

/// The names of all that can be measured.
fn vocabulary() -> impl Iterator<Item = String> {
    let paths = Path::ALL.into_iter().map(|path| path.word().to_owned());
    paths.chain(Measurement::all().map(|it| it.to_string())).chain([MEMORY, COMMANDS].map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(only: &[&str]) -> anyhow::Result<Plan> {
        let only = only.iter().map(|&word| word.to_owned()).collect();
        Plan::new(&BenchArguments {
            quick: true,
            rounds: None,
            only,
            json: false,
            svg: None,
            portgate: None,
            peers: None,
        })
    }

    #[test]
    fn without_a_word_everything_is_measured() {
        let plan = plan(&[]).unwrap();
        assert_eq!((plan.paths.len(), plan.memory, plan.commands), (Path::ALL.len(), true, true));
        assert_eq!(plan.measurements.len(), Measurement::all().count());
    }

    #[test]
    fn words_restrict_what_they_name() {
        let plan = plan(&["relay", "straight", "http"]).unwrap();
        assert_eq!(plan.paths, [Path::Straight, Path::Relay]);
        assert_eq!(plan.measurements, [Measurement::Http(32), Measurement::Http(256)]);
        assert!(!plan.memory && !plan.commands);
        assert!(self::plan(&["memory"]).unwrap().measurements.is_empty());
        assert_eq!(self::plan(&["relay"]).unwrap().measurements.len(), Measurement::all().count());
    }

    #[test]
    fn a_word_that_means_nothing_is_an_error() {
        assert!(plan(&["sctp"]).unwrap_err().to_string().contains("hint: there is straight, relay,"));
    }
}
