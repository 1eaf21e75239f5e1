//! The order to end, from a relay to the listeners of a mapping.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

/// How to end.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stop {
    /// At once.
    Cut,
    /// When the open connections have ended, or after this time.
    Drain(Duration),
}

/// The end that gives the order, once.
#[derive(Debug)]
pub(crate) struct Switch(watch::Sender<Option<Stop>>);

/// The end that obeys.
#[derive(Clone, Debug)]
pub(crate) struct Orders(watch::Receiver<Option<Stop>>);

impl Switch {
    pub(crate) fn new() -> (Self, Orders) {
        let (sender, receiver) = watch::channel(None);
        (Self(sender), Orders(receiver))
    }

    pub(crate) fn order(&self, stop: Stop) {
        self.0.send_replace(Some(stop));
    }
}

impl Orders {
    /// Waits for the order. That nobody is left to give one is an order, too.
    pub(crate) async fn ordered(&mut self) -> Stop {
        let order = self.0.wait_for(Option::is_some).await;
        order.ok().and_then(|order| *order).unwrap_or(Stop::Cut)
    }

    /// Waits until even an open connection must end.
    pub(crate) async fn cut(&mut self) {
        if let Stop::Drain(limit) = self.ordered().await {
            sleep(limit).await;
        }
    }
}
