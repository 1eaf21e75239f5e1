//! Ctrl-C, and SIGTERM: asks a command to end, so that it can undo what is half-made.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::failure::Failure;

/// Whether the user asked to end. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Interrupt(watch::Receiver<bool>);

impl Interrupt {
    /// Listens for the signals from now on.
    pub(crate) fn listen() -> io::Result<Self> {
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let (sender, receiver) = watch::channel(false);
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            sender.send_replace(true);
            // The receivers tell an end of the sender from a signal by the value.
            sender.closed().await;
        });
        Ok(Self(receiver))
    }

    /// An error once the user has asked to end: between two steps, each of which is finished or undone.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        if *self.0.borrow() { Err(Failure::Interrupted) } else { Ok(()) }
    }

    /// Gives up on `work` once the user asks to end. For what leaves nothing half-made.
    pub(crate) async fn abandon<T>(&self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        let mut interrupted = self.0.clone();
        tokio::select! {
            biased;
            _ = interrupted.wait_for(|interrupted| *interrupted) => Err(Failure::Interrupted),
            outcome = work => outcome,
        }
    }
}
