//! Freshness on use: names are resolved again while traffic flows, and never while it does not.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout};

/// How long a new connection waits for a resolution that nothing but its own age calls for. Docker's DNS takes 2 ms.
const PATIENCE: Duration = Duration::from_millis(50);

/// Why a resolution is wanted. The greater one is the more urgent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// Traffic flows: the addresses should be current.
    Used,
    /// A backend failed: its address is probably stale, and somebody may be waiting.
    Failed,
}

/// One round of resolution, by its number; the first is 1. Those who reported a failure wait for it with
/// [`Demand::ended`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Round(pub u64);

/// A round that a resolver has begun, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    /// The round.
    pub round: Round,
    /// The most urgent reason for it.
    pub urgency: Urgency,
}

/// The line between the data plane, which uses addresses, and a resolver, which finds them.
///
/// The resolver's loop is
///
/// ```text
/// loop {
///     demand.next().await;                  // no wake-up at all while nothing flows
///     resolve, and swap the routes that changed;
///     demand.refreshed();
///     wait for some time, or less if demand.until_failed() says so
/// }
/// ```
///
/// There is one resolver; users are many.
#[derive(Debug)]
pub struct Demand {
    /// How old the newest resolution may be for a new connection to rely on it; `None` if nobody resolves.
    freshness: Option<Duration>,
    /// Whether `rounds` holds a demand, or none is wanted: what makes the second and each further [`Demand::used`] a
    /// single relaxed load.
    signalled: AtomicBool,
    rounds: watch::Sender<Rounds>,
}

#[derive(Debug, Default)]
struct Rounds {
    /// What was asked for since the newest round began.
    asked: Option<Urgency>,
    /// The number of the newest round, 0 before the first.
    begun: u64,
    /// The number of the newest round that has ended.
    ended: u64,
    /// When that was; the beginning, before the first.
    ended_at: Option<Instant>,
}

impl Demand {
    /// A demand that nobody has raised yet. A new TCP connection waits for a resolution if the newest is older than
    /// `freshness`: its address may be another container's by now.
    pub fn new(freshness: Duration) -> Self {
        Self::with(Some(freshness))
    }

    fn with(freshness: Option<Duration>) -> Self {
        let signalled = AtomicBool::new(freshness.is_none());
        Self { freshness, signalled, rounds: watch::Sender::new(Rounds::default()) }
    }

    /// How old the newest resolution may be for a new connection to rely on it; `None` if nobody resolves.
    pub fn freshness(&self) -> Option<Duration> {
        self.freshness
    }

    /// Waits until the newest resolution is fresh, at most [`PATIENCE`]. At once while traffic flows.
    pub(crate) async fn fresh(&self) {
        let Some(freshness) = self.freshness else { return };
        let stale = self.rounds.borrow().ended_at.is_none_or(|ended_at| ended_at.elapsed() > freshness);
        if stale && freshness < Duration::MAX {
            let round = self.ask(Urgency::Used);
            // An old address is better than none, should nobody resolve.
            let _ = timeout(PATIENCE, self.ended(round)).await;
        }
    }

    /// Traffic flows. Cheap enough for each batch of datagrams: one relaxed load if it is known already.
    pub fn used(&self) {
        if !self.signalled.load(Ordering::Relaxed) {
            self.ask(Urgency::Used);
        }
    }

    /// A backend failed. Returns the first round that begins after this call, whose routes will know better; one that
    /// has ended already, if nobody resolves.
    pub fn failed(&self) -> Round {
        if self.freshness.is_some() { self.ask(Urgency::Failed) } else { Round(0) }
    }

    /// Asks for a resolution, whoever needs it. Returns the first round that begins after this call.
    pub fn ask(&self, urgency: Urgency) -> Round {
        let mut round = Round(0);
        self.rounds.send_if_modified(|rounds| {
            round = Round(rounds.begun + 1);
            let news = rounds.asked < Some(urgency);
            if news {
                rounds.asked = Some(urgency);
                self.signalled.store(true, Ordering::Relaxed);
            }
            news
        });
        round
    }

    /// Waits until a resolution is wanted, and begins a round: what is reported from now on asks for the next one.
    ///
    /// Cancel-safe: a call that is dropped has begun nothing.
    pub async fn next(&self) -> Wish {
        loop {
            self.until(|rounds| rounds.asked.is_some()).await;
            if let Some(wish) = self.begin() {
                return wish;
            }
        }
    }

    fn begin(&self) -> Option<Wish> {
        let mut wish = None;
        self.rounds.send_if_modified(|rounds| {
            if let Some(urgency) = rounds.asked.take() {
                rounds.begun += 1;
                wish = Some(Wish { round: Round(rounds.begun), urgency });
            }
            self.signalled.store(false, Ordering::Relaxed);
            false
        });
        wish
    }

    /// The newest round that [`Demand::next`] began has ended, and so have those before it: the routes are swapped.
    pub fn refreshed(&self) {
        self.end(|rounds| rounds.begun);
    }

    /// This round has ended, and so have those before it, but none that began later.
    pub fn refreshed_up_to(&self, round: Round) {
        self.end(|rounds| round.0.clamp(rounds.ended, rounds.begun));
    }

    fn end(&self, newest: impl FnOnce(&Rounds) -> u64) {
        self.rounds.send_modify(|rounds| {
            rounds.ended = newest(rounds);
            rounds.ended_at = Some(Instant::now());
        });
    }

    /// Waits until a failure is waiting for the next round; at once if there is one. Begins nothing.
    pub async fn until_failed(&self) {
        self.until(|rounds| rounds.asked == Some(Urgency::Failed)).await;
    }

    /// Waits until `round` has ended.
    pub async fn ended(&self, round: Round) {
        self.until(|rounds| rounds.ended >= round.0).await;
    }

    async fn until(&self, condition: impl FnMut(&Rounds) -> bool) {
        // An error would mean that the sender is gone, which is borrowed here.
        let _ = self.rounds.subscribe().wait_for(condition).await;
    }
}

/// Where routes are current by themselves: whoever learns of a change swaps them, and nobody resolves.
impl Default for Demand {
    fn default() -> Self {
        Self::with(None)
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn wish(round: u64, urgency: Urgency) -> Wish {
        Wish { round: Round(round), urgency }
    }

    /// Polls once: the outcome, if it is there without waiting.
    fn now<T>(future: impl Future<Output = T>) -> Option<T> {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        }
    }

    #[test]
    fn nothing_is_wanted_while_nothing_flows() {
        let demand = Demand::new(Duration::MAX);
        assert_eq!(now(demand.next()), None);
    }

    #[test]
    fn uses_and_failures_of_one_round_are_one_demand_of_the_greater_urgency() {
        let demand = Demand::new(Duration::MAX);
        demand.used();
        demand.failed();
        demand.used();
        assert_eq!(now(demand.next()), Some(wish(1, Urgency::Failed)));
        assert_eq!(now(demand.next()), None);
        demand.used();
        assert_eq!(now(demand.next()), Some(wish(2, Urgency::Used)));
    }

    #[test]
    fn a_failure_cuts_the_pause_between_rounds_short_and_a_use_does_not() {
        let demand = Demand::new(Duration::MAX);
        demand.used();
        assert_eq!(now(demand.until_failed()), None);
        demand.failed();
        assert_eq!(now(demand.until_failed()), Some(()));
        assert_eq!(now(demand.next()), Some(wish(1, Urgency::Failed)), "waiting for a failure must not consume it");
    }

    #[test]
    fn a_failure_during_a_round_waits_for_the_end_of_the_next() {
        let demand = Demand::new(Duration::MAX);
        demand.used();
        assert!(now(demand.next()).is_some());
        let round = demand.failed();
        demand.refreshed();
        assert_eq!(now(demand.ended(round)), None, "this round began before the failure");
        assert!(now(demand.next()).is_some());
        assert_eq!(now(demand.ended(round)), None);
        demand.refreshed();
        assert_eq!(now(demand.ended(round)), Some(()));
    }

    #[test]
    fn a_failure_between_rounds_waits_for_the_next_only() {
        let demand = Demand::new(Duration::MAX);
        let round = demand.failed();
        assert!(now(demand.next()).is_some());
        demand.refreshed();
        assert_eq!(now(demand.ended(round)), Some(()));
    }

    #[test]
    fn the_end_of_a_round_does_not_end_those_that_began_later() {
        let demand = Demand::new(Duration::MAX);
        let rounds = [(); 2].map(|()| {
            let round = demand.failed();
            assert_eq!(now(demand.next()), Some(wish(round.0, Urgency::Failed)));
            round
        });
        demand.refreshed_up_to(rounds[0]);
        assert_eq!((now(demand.ended(rounds[0])), now(demand.ended(rounds[1]))), (Some(()), None));
        demand.refreshed_up_to(Round(u64::MAX));
        assert_eq!(now(demand.ended(rounds[1])), Some(()));
        assert_eq!(now(demand.ended(demand.failed())), None, "what has not begun cannot have ended");
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_waits_for_a_resolution_only_if_the_last_is_old() {
        let demand = Demand::new(Duration::from_millis(500));
        let (begun, ()) = tokio::join!(demand.next(), async {
            assert_eq!(now(demand.fresh()), None);
        });
        assert_eq!(begun, wish(1, Urgency::Used));
        demand.refreshed();
        assert_eq!(now(demand.fresh()), Some(()));
        tokio::time::advance(Duration::from_millis(501)).await;
        assert_eq!(now(demand.fresh()), None);
        demand.fresh().await;
        let begun = now(demand.next());
        assert_eq!(begun, Some(wish(2, Urgency::Used)), "nobody resolved, and the connection went on all the same");
    }

    #[test]
    fn where_nobody_resolves_nothing_is_asked_and_nothing_awaited() {
        let demand = Demand::default();
        demand.used();
        assert_eq!(now(demand.fresh()), Some(()));
        let round = demand.failed();
        assert_eq!(now(demand.ended(round)), Some(()));
        assert_eq!(now(demand.next()), None);
    }

    #[tokio::test]
    async fn a_waiting_resolver_is_woken() {
        let demand = Demand::new(Duration::MAX);
        let (begun, ()) = tokio::join!(demand.next(), async { demand.used() });
        assert_eq!(begun, wish(1, Urgency::Used));
    }
}
