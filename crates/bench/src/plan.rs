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
        let usual = || Measurement::all().filter(|measurement| !arguments.quick || measurement.is_quick()).collect();
        // A word for a path alone means all measurements of it, and one for a measurement alone, all paths.
        let nothing_else = measurements.is_empty() && !memory && !commands;
        let window = if arguments.quick { (150, 600) } else { (300, 2000) };
        Ok(Self {
            paths: if paths.is_empty() { Path::ALL.to_vec() } else { paths },
            measurements: if nothing_else { usual() } else { measurements },
            memory: all || memory,
            commands: all || commands,
            rounds: arguments.rounds.unwrap_or(if arguments.quick { 1 } else { 3 }),
            window: Window { warm_up: Duration::from_millis(window.0), length: Duration::from_millis(window.1) },
        })
    }
}

/// The paths in the order of this turn: each turn begins elsewhere, and every second one goes backwards, so that what
/// changes on the machine meanwhile favours none.
pub(crate) fn order(paths: &[Path], turn: usize) -> Vec<Path> {
    let mut order = paths.to_vec();
    order.rotate_left(turn % paths.len().max(1));
    if turn % 2 == 1 {
        order.reverse();
    }
    order
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
        plan_of(false, only)
    }

    fn plan_of(quick: bool, only: &[&str]) -> anyhow::Result<Plan> {
        let only = only.iter().map(|&word| word.to_owned()).collect();
        Plan::new(&BenchArguments { quick, rounds: None, only, json: false, svg: None, portgate: None, peers: None })
    }

    #[test]
    fn without_a_word_everything_is_measured() {
        let plan = plan(&[]).unwrap();
        assert_eq!((plan.paths.len(), plan.memory, plan.commands), (Path::ALL.len(), true, true));
        assert_eq!(plan.measurements.len(), Measurement::all().count());
    }

    #[test]
    fn a_quick_run_leaves_out_what_no_word_names() {
        let measurements = plan_of(true, &[]).unwrap().measurements;
        assert!(measurements.contains(&Measurement::Udp(1200)) && !measurements.contains(&Measurement::Udp(64)));
        assert_eq!(plan_of(true, &["udp-64"]).unwrap().measurements, [Measurement::Udp(64)]);
        assert_eq!(plan_of(true, &["relay"]).unwrap().measurements, measurements);
    }

    #[test]
    fn each_path_comes_early_and_late() {
        let paths = [Path::Straight, Path::Kernel, Path::Relay, Path::Haproxy];
        assert_eq!(order(&paths, 0), paths);
        assert_eq!(order(&paths, 1), [Path::Straight, Path::Haproxy, Path::Relay, Path::Kernel]);
        assert_eq!(order(&paths, 2), [Path::Relay, Path::Haproxy, Path::Straight, Path::Kernel]);
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
        assert!(plan(&["sctp"]).unwrap_err().to_string().contains("hint: there is straight, kernel,"));
    }
}
