//! One connection of a forward, from its first moment to its last.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use portgate_core::port::Port;
use portgate_core::table::{Backend, NoBackend};
use portgate_kube::forward::{ForwardError, PodStream, Receiver, Sender, StreamError, Verdict};
use portgate_relay::{Backoff, Peer, Tally};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::time::{Instant, timeout, timeout_at};

use super::Mapping;

/// How much is read from a client at once, in bytes: as much as one read of a loopback connection gives.
const CHUNK: usize = 32 * 1024;

/// How long the end of a stream that has carried nothing is held back, for the reason that may follow it: where nothing
/// listens on the pod's port, the pod's runtime ends the stream first, and says then why.
const REASON: Duration = Duration::from_millis(300);

/// Why no connection to a pod came about.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// For all that time there was no pod.
    #[error("waited {} s: {why}", waited.as_secs())]
    NoPod { waited: Duration, why: NoBackend },
    /// The last attempt.
    #[error(transparent)]
    Forward(ForwardError),
    /// The attempts took too long.
    #[error("pod {pod} was not reached within {} s", waited.as_secs())]
    TimedOut { waited: Duration, pod: String },
}

/// Why a connection ended before both sides had ended it.
#[derive(Debug, thiserror::Error)]
enum Ending {
    /// The pod's side says so, in its own words.
    #[error("{0}")]
    Refused(String),
    #[error(transparent)]
    Stream(#[from] StreamError),
    #[error(transparent)]
    Client(#[from] io::Error),
}

/// Serves a client. Unless both sides end it in peace, its connection is reset, and no other is concerned.
pub(super) async fn serve(client: TcpStream, mapping: &Mapping) {
    let tally = &mapping.tally;
    let mut client = Peer::new(client);
    let (pod, stream) = match connect(mapping).await {
        Ok(connected) => connected,
        Err(failure) => {
            tally.connections_failed.add(1);
            tally.note(failure);
            return;
        }
    };
    tally.connections_total.add(1);
    let _counted = Counted::new(tally);
    match carry(&mut client.stream, stream, tally).await {
        Ok(()) => client.finish(),
        Err(Ending::Refused(reason)) => {
            tally.connections_failed.add(1);
            tally.note(format_args!("pod {pod}: {}", reason.trim_end()));
        }
        Err(Ending::Stream(error)) => tally.note(format_args!("pod {pod}: {error}")),
        Err(Ending::Client(error)) => tracing::debug!(%error, "a client reset its connection"),
    }
}

/// Counts an open connection for as long as it lives.
struct Counted<'a>(&'a Tally);

impl<'a> Counted<'a> {
    fn new(tally: &'a Tally) -> Self {
        tally.connections_open.add(1);
        Self(tally)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.connections_open.subtract(1);
    }
}

/// Finds a pod, and opens a stream to it. Waits for one as long as the forward's patience lasts.
async fn connect(mapping: &Mapping) -> Result<(String, PodStream), Failure> {
    let waited = mapping.patience;
    let deadline = Instant::now() + waited;
    let mut changes = mapping.choice.subscribe();
    let mut backoff = Backoff::default();
    let mut failed: Vec<Backend> = Vec::new();
    loop {
        changes.mark_unchanged();
        let chosen = match mapping.choice.next(&failed) {
            Ok(chosen) => chosen,
            Err(why) => match timeout_at(deadline, changes.changed()).await {
                Ok(_) => continue,
                Err(_) => return Err(Failure::NoPod { waited, why }),
            },
        };
        let Some(port) = Port::new(chosen.address.port()) else { continue };
        let pod = mapping.pod(&chosen);
        let error = match timeout_at(deadline, mapping.forwarder.open(&pod, port)).await {
            Ok(Ok(stream)) => return Ok((chosen.node, stream)),
            Ok(Err(error)) => error,
            Err(_) => return Err(Failure::TimedOut { waited, pod: chosen.node }),
        };
        if error.is_final() || Instant::now() >= deadline {
            return Err(Failure::Forward(error));
        }
        mapping.tally.note(format_args!("pod {}: {error}", chosen.node));
        failed.push(chosen);
        // Another pod may do; the same one only after a while.
        if mapping.choice.all().iter().all(|backend| failed.contains(backend)) {
            let _ = timeout(backoff.failed(), changes.changed()).await;
        }
    }
}

/// Carries bytes both ways until both have ended, or the pod's side is over.
async fn carry(client: &mut TcpStream, stream: PodStream, tally: &Tally) -> Result<(), Ending> {
    let PodStream { sender, receiver, verdict } = stream;
    let (from, to) = client.split();
    let refused = || async {
        match verdict.wait().await {
            Some(reason) => Err(Ending::Refused(reason)),
            None => Ok(()),
        }
    };
    let said = async {
        tokio::select! {
            said = say(from, sender, tally) => said,
            // Nothing is taken any more.
            over = refused() => over,
        }
    };
    let both = async { tokio::try_join!(said, answer(receiver, to, &verdict, tally)) };
    tokio::select! {
        ended = both => ended.map(drop),
        Err(ending) = refused() => Err(ending),
    }
}

/// From the client to the pod. Memory is taken only once there is something to read.
async fn say(from: ReadHalf<'_>, mut sender: Sender, tally: &Tally) -> Result<(), Ending> {
    loop {
        from.readable().await?;
        let mut chunk = BytesMut::with_capacity(CHUNK);
        let count = match from.try_read_buf(&mut chunk) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            read => read?,
        };
        let sent = if count == 0 { sender.finish().await } else { sender.send(chunk.freeze()).await };
        // A pod that takes no more may still have something to say.
        if count == 0 || sent.is_err() {
            return Ok(());
        }
        tally.bytes_in.add(count as u64);
    }
}

/// From the pod to the client.
async fn answer(mut receiver: Receiver, mut to: WriteHalf<'_>, verdict: &Verdict, tally: &Tally) -> Result<(), Ending> {
    let mut is_silent = true;
    while let Some(bytes) = receiver.next().await? {
        is_silent = false;
        to.write_all(&bytes).await?;
        tally.bytes_out.add(bytes.len() as u64);
    }
    if is_silent && let Ok(Some(reason)) = timeout(REASON, verdict.wait()).await {
        return Err(Ending::Refused(reason));
    }
    Ok(to.shutdown().await?)
}
