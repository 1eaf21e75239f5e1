//! What a worker asks of its supervisor: to resolve names that it uses.

use std::sync::Arc;

use portgate_relay::{Demand, Round, Urgency, Wish};

/// The demand of the relay, passed on to the supervisor: a wish of each urgency at most, until it is fulfilled.
#[derive(Debug)]
pub(super) struct Wishes {
    demand: Arc<Demand>,
    /// The newest one that is not fulfilled.
    newest: Option<Wish>,
}

impl Wishes {
    pub(super) fn of(demand: Arc<Demand>) -> Self {
        Self { demand, newest: None }
    }

    /// The next wish to be passed on. A more urgent one does not wait for the one before. Cancel-safe.
    pub(super) async fn next(&mut self) -> Wish {
        match self.newest.map(|wish| wish.urgency) {
            Some(Urgency::Failed) => std::future::pending().await,
            Some(Urgency::Used) => self.demand.until_failed().await,
            None => {}
        }
        *self.newest.insert(self.demand.next().await)
    }

    /// The supervisor has resolved for this round, and those before it.
    pub(super) fn fulfilled(&mut self, round: Round) {
        self.newest = self.newest.filter(|newest| newest.round > round);
        self.demand.refreshed_up_to(round);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};
    use std::time::Duration;

    use super::*;

    fn next(wishes: &mut Wishes) -> Option<Wish> {
        match pin!(wishes.next()).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(wish) => Some(wish),
            Poll::Pending => None,
        }
    }

    fn wish(round: u64, urgency: Urgency) -> Wish {
        Wish { round: Round(round), urgency }
    }

    #[test]
    fn two_wishes_wait_at_most_and_the_second_is_more_urgent() {
        let demand = Arc::new(Demand::new(Duration::MAX));
        let mut wishes = Wishes::of(demand.clone());
        assert_eq!(next(&mut wishes), None);
        demand.used();
        assert_eq!(next(&mut wishes), Some(wish(1, Urgency::Used)));
        demand.used();
        assert_eq!(next(&mut wishes), None, "it is asked for already");
        demand.failed();
        assert_eq!(next(&mut wishes), Some(wish(2, Urgency::Failed)));
        demand.failed();
        assert_eq!(next(&mut wishes), None, "it is as urgent as can be already");

        wishes.fulfilled(Round(1));
        assert_eq!(next(&mut wishes), None, "the second is not fulfilled with the first");
        wishes.fulfilled(Round(2));
        assert_eq!(next(&mut wishes), Some(wish(3, Urgency::Failed)));
    }

    #[test]
    fn where_routes_are_current_nothing_is_wished() {
        let demand = Arc::new(Demand::default());
        let mut wishes = Wishes::of(demand.clone());
        demand.used();
        demand.failed();
        assert_eq!(next(&mut wishes), None);
    }
}
