//! The worker's demand for addresses, that somebody else resolves.

use std::sync::Arc;

use portgate_relay::{Demand, Urgency};

/// Stands in for the resolver: its rounds begin when the supervisor is told of a demand, and end with its answer.
#[derive(Debug)]
pub(super) struct Rounds {
    demand: Arc<Demand>,
    /// What the supervisor was told in this round.
    told: Option<Urgency>,
}

impl Rounds {
    pub(super) fn new(demand: Arc<Demand>) -> Self {
        Self { demand, told: None }
    }

    /// The next thing to tell the supervisor. A failure during a round is told once, since it may shorten the
    /// supervisor's pause. Cancel-safe.
    pub(super) async fn next(&mut self) -> Urgency {
        let urgency = match self.told {
            None => self.demand.next().await,
            Some(Urgency::Used) => {
                self.demand.until_failed().await;
                Urgency::Failed
            }
            Some(Urgency::Failed) => std::future::pending().await,
        };
        self.told = Some(urgency);
        urgency
    }

    /// The supervisor has answered, and the routes are swapped.
    pub(super) fn ended(&mut self) {
        if self.told.take().is_some() {
            self.demand.refreshed();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    /// What is to be told now.
    fn now(rounds: &mut Rounds) -> Option<Urgency> {
        match pin!(rounds.next()).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(urgency) => Some(urgency),
            Poll::Pending => None,
        }
    }

    #[test]
    fn a_round_is_told_once_and_a_failure_in_it_once_more() {
        let demand = Arc::new(Demand::default());
        let mut rounds = Rounds::new(demand.clone());
        assert_eq!(now(&mut rounds), None);
        demand.used();
        assert_eq!(now(&mut rounds), Some(Urgency::Used));
        demand.used();
        assert_eq!(now(&mut rounds), None);
        demand.failed();
        assert_eq!(now(&mut rounds), Some(Urgency::Failed));
        demand.failed();
        assert_eq!(now(&mut rounds), None);
        rounds.ended();
        assert_eq!(now(&mut rounds), Some(Urgency::Failed), "it failed after the round began");
        rounds.ended();
        assert_eq!(now(&mut rounds), None);
    }
}
