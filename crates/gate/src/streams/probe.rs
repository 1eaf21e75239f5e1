//! Trying the way through the Kubernetes API server to the pods of a mapping.

use std::time::{Duration, Instant};

use portgate_core::causes;
use portgate_core::control::{ProbeOutcome, ProbeResult};
use portgate_core::port::Port;
use portgate_core::table::Backend;
use portgate_kube::forward::{Forwarder, PodName, PodStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How long a refusal is waited for. A pod's runtime connects to the pod's own loopback: what is refused there is known
/// within a few round trips.
const REFUSAL: Duration = Duration::from_millis(300);

/// How long a stream may take to be opened at least: with TLS, and as many transports as there are.
const OPEN: Duration = Duration::from_secs(5);

/// Tries all pods at once. The results have the backends' order.
pub(super) async fn probe(
    forwarder: Forwarder,
    namespace: String,
    backends: Vec<Backend>,
    limit: Duration,
) -> Vec<ProbeResult> {
    let mut trials = JoinSet::new();
    for (index, Backend { node, address, .. }) in backends.into_iter().enumerate() {
        let (forwarder, pod) = (forwarder.clone(), PodName { namespace: namespace.clone(), name: node.clone() });
        trials.spawn(async move {
            let start = Instant::now();
            let port = Port::new(address.port());
            let outcome = match port {
                Some(port) => attempt(&forwarder, &pod, port, limit).await,
                None => ProbeOutcome::Refused,
            };
            (index, ProbeResult { node, address, outcome, elapsed: start.elapsed() })
        });
    }
    let mut results = trials.join_all().await;
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

async fn attempt(forwarder: &Forwarder, pod: &PodName, port: Port, limit: Duration) -> ProbeOutcome {
    // A session may have to be made first.
    let PodStream { sender: _sender, mut receiver, verdict } =
        match timeout(limit.max(OPEN), forwarder.open(pod, port)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return ProbeOutcome::Failed { message: causes::line(&error) },
            Err(_) => return ProbeOutcome::TimedOut,
        };
    let refusal = async {
        tokio::select! {
            biased;
            reason = verdict.wait() => reason,
            said = receiver.next() => match said {
                Ok(Some(_)) => None,
                // The reason of an end comes after it.
                Ok(None) => verdict.wait().await,
                Err(error) => Some(causes::line(&error)),
            },
        }
    };
    match timeout(REFUSAL, refusal).await {
        Ok(Some(message)) => ProbeOutcome::Failed { message: message.trim_end().to_owned() },
        // Who says nothing may be waiting for the client to speak.
        Ok(None) | Err(_) => ProbeOutcome::Answered,
    }
}
