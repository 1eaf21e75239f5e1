//! Whether a flow got what it was promised.

use std::time::{Duration, Instant};

use crate::fault::Flow;
use crate::load::{Exchange, Loss};
use crate::model::{Failures, Period, Promise, Until};

/// What was seen of a flow from one step to the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Measured {
    /// The longest time without a successful exchange.
    pub(crate) silence: Duration,
    /// How many exchanges failed.
    pub(crate) failed: usize,
    /// How many there were.
    pub(crate) exchanges: usize,
}

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Broken {
    pub(crate) expected: String,
    pub(crate) seen: String,
}

/// Checks the exchanges of a flow, which ended until `now`.
pub(crate) fn check(
    flow: Flow,
    promise: Promise,
    period: Period,
    now: Instant,
    exchanges: &[Exchange],
) -> Result<Measured, Broken> {
    let failed: Vec<&Exchange> = exchanges.iter().filter(|exchange| exchange.outcome.is_err()).collect();
    if let Some(wrong) = failed.iter().find(|exchange| matches!(exchange.outcome, Err(Loss::Wrong { .. }))) {
        let expected = format!("{flow}: every byte is right");
        return Err(Broken { expected, seen: told(wrong, period) });
    }
    let inexcusable: Vec<&&Exchange> =
        failed.iter().filter(|exchange| !is_excused(exchange, promise.failures, period)).collect();
    if let Some(first) = inexcusable.first() {
        let expected = format!("{flow}: {}", expected(promise.failures));
        let seen =
            format!("{} of {} failed so; the first: {}", inexcusable.len(), exchanges.len(), told(first, period));
        return Err(Broken { expected, seen });
    }
    let (silence, since) = silence(period.begin, now, exchanges);
    let allowed = promise.silence.instant(period).duration_since(period.begin);
    if silence > allowed {
        let expected = format!("{flow}: an exchange succeeds within {} ms", allowed.as_millis());
        let since = since.duration_since(period.begin).as_millis();
        let seen = format!("none succeeded for {} ms, from {since} ms after the fault on", silence.as_millis());
        return Err(Broken { expected, seen });
    }
    Ok(Measured { silence, failed: failed.len(), exchanges: exchanges.len() })
}

/// Whether an exchange may have failed.
fn is_excused(exchange: &Exchange, failures: Failures, period: Period) -> bool {
    let in_time = |until: Until| exchange.ended >= period.begin && exchange.began <= until.instant(period);
    match failures {
        Failures::None => false,
        Failures::Cut(until) => in_time(until) && exchange.outcome != Err(Loss::Refused),
        Failures::Any(until) => in_time(until),
    }
}

fn expected(failures: Failures) -> String {
    let until = |until| match until {
        Until::Begin(within) => format!("{} ms after its begin", within.as_millis()),
        Until::End(within) => format!("{} ms after its end", within.as_millis()),
    };
    match failures {
        Failures::None => "nothing fails".to_owned(),
        Failures::Cut(time) => format!("nothing is refused, and what begins later than {} succeeds", until(time)),
        Failures::Any(time) => format!("what begins later than {} succeeds", until(time)),
    }
}

fn told(exchange: &Exchange, period: Period) -> String {
    let after = |instant: Instant| match instant.checked_duration_since(period.begin) {
        Some(after) => format!("{} ms after", after.as_millis()),
        None => format!("{} ms before", period.begin.duration_since(instant).as_millis()),
    };
    let why = exchange.outcome.as_ref().err().map(ToString::to_string).unwrap_or_default();
    format!("{why} (began {} the fault, ended {} it)", after(exchange.began), after(exchange.ended))
}

/// The longest time without a success, and when it began.
fn silence(begin: Instant, now: Instant, exchanges: &[Exchange]) -> (Duration, Instant) {
    let successes = exchanges.iter().filter(|exchange| exchange.outcome.is_ok()).map(|exchange| exchange.ended);
    let mut moments: Vec<Instant> = successes.filter(|ended| *ended > begin && *ended < now).collect();
    moments.extend([begin, now]);
    moments.sort_unstable();
    let gaps = moments.windows(2).map(|pair| (pair[1].duration_since(pair[0]), pair[0]));
    gaps.max_by_key(|(gap, _)| *gap).unwrap_or((Duration::ZERO, begin))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::{Entrance, Traffic};

    const FLOW: Flow = Flow { entrance: Entrance::Relay, traffic: Traffic::Connections };
    const LONG: Until = Until::Begin(Duration::from_secs(10));

    /// A fault from 10 s to 20 s of a clock, which is looked at by 40 s.
    struct Clock(Instant);

    impl Clock {
        fn at(&self, seconds: f32) -> Instant {
            self.0 + Duration::from_secs_f32(seconds)
        }

        fn exchange(&self, began: f32, ended: f32, outcome: Result<(), Loss>) -> Exchange {
            Exchange { began: self.at(began), ended: self.at(ended), outcome }
        }

        fn check(&self, promise: Promise, exchanges: &[Exchange]) -> Result<Measured, Broken> {
            let period = Period { begin: self.at(10.), end: self.at(20.) };
            check(FLOW, promise, period, self.at(40.), exchanges)
        }
    }

    fn promise(failures: Failures) -> Promise {
        Promise { failures, silence: Until::End(Duration::from_mins(1)) }
    }

    #[test]
    fn a_failure_is_excused_if_it_began_in_time_and_did_not_end_before() {
        let clock = Clock(Instant::now());
        let any = promise(Failures::Any(Until::End(Duration::from_secs(1))));
        for (began, ended, excused) in [(8., 9., false), (9., 11., true), (20.5, 25., true), (22., 23., false)] {
            let outcome = clock.check(any, &[clock.exchange(began, ended, Err(Loss::Silent))]);
            assert_eq!(outcome.is_ok(), excused, "{began}: {outcome:?}");
        }
    }

    #[test]
    fn what_may_be_cut_may_not_be_refused() {
        let clock = Clock(Instant::now());
        let cut = promise(Failures::Cut(LONG));
        let broken = clock.exchange(11., 12., Err(Loss::Broken(std::io::ErrorKind::ConnectionReset)));
        assert_eq!(clock.check(cut, &[broken]).unwrap().failed, 1);
        let refused = clock.exchange(11., 12., Err(Loss::Refused));
        assert!(clock.check(cut, std::slice::from_ref(&refused)).is_err());
        assert!(clock.check(promise(Failures::Any(LONG)), &[refused]).is_ok());
    }

    #[test]
    fn a_wrong_byte_is_never_excused() {
        let clock = Clock(Instant::now());
        let wrong = clock.exchange(11., 12., Err(Loss::Wrong { position: 5 }));
        let broken = clock.check(promise(Failures::Any(LONG)), &[wrong]).unwrap_err();
        assert!(broken.seen.starts_with("WRONG BYTE at position 5"), "{broken:?}");
    }

    #[test]
    fn the_longest_silence_counts_from_the_fault_to_now() {
        let clock = Clock(Instant::now());
        let successes = [9., 12., 15., 38.].map(|ended| clock.exchange(ended - 1., ended, Ok(())));
        let silent =
            |seconds| Promise { failures: Failures::None, silence: Until::Begin(Duration::from_secs(seconds)) };
        assert_eq!(clock.check(silent(23), &successes).unwrap().silence, Duration::from_secs(23));
        let broken = clock.check(silent(22), &successes).unwrap_err();
        assert_eq!(broken.seen, "none succeeded for 23000 ms, from 5000 ms after the fault on");
        assert_eq!(clock.check(silent(30), &[]).unwrap().silence, Duration::from_secs(30));
    }
}
