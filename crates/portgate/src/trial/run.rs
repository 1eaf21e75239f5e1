//! The trials themselves.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use portgate_core::control::{Probe, ProbeOutcome, Request, Response};
use portgate_core::mapping::Local;
use portgate_core::port::Protocol;
use portgate_core::status::{Counters, MappingState, MappingStatus};
use portgate_gate::{Limits, probe};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::{Exchange, From, Hop, Trial, Verdict};
use crate::failure::Failure;
use crate::gates::Control;

/// How many connections are tried at a time.
const AT_ONCE: usize = 64;

/// What is sent to a UDP target where nothing was said: as little as Docker's port proxy passes on.
const DATAGRAM: &[u8] = b"\n";

/// How much longer an exchange may take than it should, before it is given up from outside.
const GRACE: Duration = Duration::from_millis(100);

/// How often the gate is asked whether a connection has reached a backend.
const ASK_AGAIN: Duration = Duration::from_millis(5);

/// How mappings are tried.
#[derive(Clone, Debug)]
pub(crate) struct Method {
    /// Whether this machine's addresses are where the mappings listen; they are not if the engine is elsewhere.
    pub(crate) from_host: bool,
    /// How long to wait for an answer.
    pub(crate) timeout: Duration,
    /// What to say, and what to expect.
    pub(crate) exchange: Option<Exchange>,
}

/// Tries mappings of one gate.
pub(crate) async fn run(
    control: &mut Control,
    mappings: &[MappingStatus],
    method: &Method,
) -> Result<Vec<Trial>, Failure> {
    let mut trials: Vec<Trial> = mappings.iter().map(Trial::new).collect();
    if method.from_host {
        from_host(control, &mut trials, method).await?;
    }
    // Asked only now: the trials themselves make the gate look where the nodes are.
    let now = control.status().await?.mappings;
    for trial in &mut trials {
        trial.reason = without_backend(&now, &trial.local);
        from_gate(control, trial, method).await?;
        trial.verdict = judge(trial);
    }
    Ok(trials)
}

/// Why a mapping leads nowhere, if it does.
fn without_backend(now: &[MappingStatus], local: &Local) -> Option<String> {
    match &now.iter().find(|mapping| mapping.local == *local)?.state {
        MappingState::NoBackend { why } => Some(why.to_string()),
        MappingState::NotListening { message } | MappingState::Unknown { message } => Some(message.clone()),
        MappingState::Open | MappingState::Stopped => None,
    }
}

/// The first broken hop decides; a UDP reply to the host proves the whole way.
fn judge(trial: &Trial) -> Verdict {
    let host = |hop: &&Hop| hop.from == From::Host;
    let gate = |hop: &&Hop| hop.from == From::Gate;
    let answered = |hop: &Hop| hop.outcome == ProbeOutcome::Answered;
    let hosts_are_good = trial.hops.iter().filter(host).all(|hop| hop.outcome.is_good());
    let a_backend_answers = trial.hops.iter().filter(gate).any(answered);
    let host_is_answered = trial.hops.iter().any(|hop| hop.from == From::Host && answered(hop));
    let a_backend_may_hear = trial.hops.iter().filter(gate).any(|hop| hop.outcome.is_good());
    match trial.local.protocol {
        _ if trial.reason.is_some() || !hosts_are_good => Verdict::Broken,
        Protocol::Tcp if a_backend_answers => Verdict::Ok,
        Protocol::Udp if host_is_answered => Verdict::Ok,
        Protocol::Udp if a_backend_answers && !trial.hops.iter().any(|hop| host(&hop)) => Verdict::Ok,
        Protocol::Udp if a_backend_may_hear => Verdict::Silent,
        Protocol::Tcp | Protocol::Udp => Verdict::Broken,
    }
}

/// Tries the way from this machine's addresses.
async fn from_host(control: &mut Control, trials: &mut [Trial], method: &Method) -> Result<(), Failure> {
    let before = control.status().await?.mappings;
    let attempts = trials.iter().enumerate().flat_map(|(index, trial)| {
        let addresses = trial.local.sockets().take(if method.exchange.is_some() { 1 } else { usize::MAX });
        addresses.map(move |address| (index, trial.local.protocol, address)).collect::<Vec<_>>()
    });
    let attempts: Vec<_> = attempts.collect();
    let attempts = attempts.into_iter().map(|(index, protocol, address)| async move {
        let start = Instant::now();
        let (outcome, end) = attempt(protocol, address, method).await;
        let hop = Hop { from: From::Host, address, node: None, outcome, elapsed: start.elapsed() };
        (index, hop, end)
    });
    let mut connections = Vec::new();
    let mut done = stream::iter(attempts).buffered(AT_ONCE);
    while let Some((index, hop, end)) = done.next().await {
        let Some(trial) = trials.get_mut(index) else { continue };
        trial.hops.push(hop);
        match end {
            End::Open(stream) => connections.push((index, trial.hops.len() - 1, stream)),
            End::Said(answer) => trial.answer = Some(answer),
            End::Nothing => {}
        }
    }
    settle(control, trials, &before, connections, method).await
}

/// What is left of an attempt.
enum End {
    /// A connection that has still to prove itself.
    Open(TcpStream),
    /// What the target said.
    Said(String),
    /// Nothing.
    Nothing,
}

async fn attempt(protocol: Protocol, address: SocketAddr, method: &Method) -> (ProbeOutcome, End) {
    let trial = async {
        match (protocol, &method.exchange) {
            (Protocol::Tcp, None) => TcpStream::connect(address).await.map(End::Open),
            (Protocol::Tcp, Some(exchange)) => {
                let deadline = Instant::now() + method.timeout;
                exchange.over(TcpStream::connect(address).await?, address, deadline).await.map(End::Said)
            }
            (Protocol::Udp, exchange) => {
                let datagram = exchange.as_ref().map_or(DATAGRAM, |exchange| exchange.payload());
                let reply = probe::exchange(address, datagram).await?;
                let reply = String::from_utf8_lossy(&reply).into_owned();
                match exchange {
                    None => Ok(End::Nothing),
                    Some(exchange) => exchange.check(reply).map(End::Said),
                }
            }
        }
    };
    // An exchange by TCP ends by itself, and then tells what has come.
    let ends_by_itself = protocol == Protocol::Tcp && method.exchange.is_some();
    let limit = method.timeout + if ends_by_itself { GRACE } else { Duration::ZERO };
    match tokio::time::timeout(limit, trial).await {
        Ok(Ok(end)) => (ProbeOutcome::Answered, end),
        Ok(Err(error)) if error.kind() == io::ErrorKind::TimedOut => (ProbeOutcome::TimedOut, End::Nothing),
        Ok(Err(error)) => (probe::failure(&error), End::Nothing),
        Err(_) if protocol == Protocol::Udp => (ProbeOutcome::Silent, End::Nothing),
        Err(_) => (ProbeOutcome::TimedOut, End::Nothing),
    }
}

/// Waits until the gate has counted every connection, as one that reached a backend or as one that did not.
async fn settle(
    control: &mut Control,
    trials: &mut [Trial],
    before: &[MappingStatus],
    mut connections: Vec<(usize, usize, TcpStream)>,
    method: &Method,
) -> Result<(), Failure> {
    let start = Instant::now();
    let deadline = start + method.timeout.max(Limits::default().connect_timeout);
    while !connections.is_empty() {
        let now = control.status().await?.mappings;
        let late = Instant::now() >= deadline;
        connections.retain(|(trial, hop, stream)| {
            let Some(trial) = trials.get_mut(*trial) else { return false };
            let grown = growth(before, &now, &trial.local);
            let outcome = match grown {
                Some((_, failed)) if failed > 0 => Some(failed_outcome(&now, &trial.local)),
                Some((reached, _)) if reached >= tcp_hops(trial) => Some(ProbeOutcome::Answered),
                _ if is_closed(stream) => Some(failed_outcome(&now, &trial.local)),
                _ if late => Some(ProbeOutcome::TimedOut),
                _ => None,
            };
            match (outcome, trial.hops.get_mut(*hop)) {
                (Some(outcome), Some(hop)) => {
                    if outcome == ProbeOutcome::TimedOut {
                        hop.elapsed = start.elapsed();
                    }
                    hop.outcome = outcome;
                    false
                }
                _ => true,
            }
        });
        if !connections.is_empty() {
            tokio::time::sleep(ASK_AGAIN).await;
        }
    }
    Ok(())
}

/// How many connections a trial has made to the gate.
fn tcp_hops(trial: &Trial) -> u64 {
    trial.hops.iter().filter(|hop| hop.outcome == ProbeOutcome::Answered).count() as u64
}

/// By how much the gate's counts of a mapping have grown: connections that reached a backend, and that did not.
fn growth(before: &[MappingStatus], now: &[MappingStatus], local: &Local) -> Option<(u64, u64)> {
    let (before, now) = (counters(before, local)?, counters(now, local)?);
    Some((
        now.connections_total.saturating_sub(before.connections_total),
        now.connections_failed.saturating_sub(before.connections_failed),
    ))
}

fn counters<'a>(mappings: &'a [MappingStatus], local: &Local) -> Option<&'a Counters> {
    mappings.iter().find(|mapping| mapping.local == *local).map(|mapping| &mapping.counters)
}

fn failed_outcome(mappings: &[MappingStatus], local: &Local) -> ProbeOutcome {
    let last = counters(mappings, local).and_then(|counters| counters.last_error.clone());
    let message = last.map_or_else(|| "the connection was closed at once".to_owned(), |error| error.message);
    ProbeOutcome::Failed { message }
}

/// Whether the other side has ended the connection without a byte.
fn is_closed(stream: &TcpStream) -> bool {
    match stream.try_read(&mut [0]) {
        Ok(read) => read == 0,
        Err(error) => error.kind() != io::ErrorKind::WouldBlock,
    }
}

/// Tries the way from the gate to the backends. What has answered a datagram already is not asked again.
async fn from_gate(control: &mut Control, trial: &mut Trial, method: &Method) -> Result<(), Failure> {
    let udp = trial.local.protocol == Protocol::Udp;
    let answered = trial.hops.iter().any(|hop| hop.outcome == ProbeOutcome::Answered);
    if trial.reason.is_some() || (udp && answered) {
        return Ok(());
    }
    let datagram = method.exchange.as_ref().map_or(DATAGRAM, |exchange| exchange.payload()).to_vec();
    let probe = Probe { local: trial.local.clone(), datagram, timeout: method.timeout };
    if let Response::Probed { results } = control.request(&Request::Probe(probe)).await? {
        trial.hops.extend(results.into_iter().map(|result| Hop {
            from: From::Gate,
            address: result.address,
            node: Some(result.node),
            outcome: result.outcome,
            elapsed: result.elapsed,
        }));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use portgate_core::mapping::{HostAddresses, Target};
    use portgate_core::port::Port;

    use super::*;

    fn trial(protocol: Protocol, hops: &[(From, ProbeOutcome)]) -> Trial {
        let port = Port::new(30999).unwrap();
        let hop = |(from, outcome): &(From, ProbeOutcome)| Hop {
            from: *from,
            address: "127.0.0.1:30999".parse().unwrap(),
            node: None,
            outcome: outcome.clone(),
            elapsed: Duration::from_millis(1),
        };
        Trial {
            local: Local { addresses: HostAddresses::loopback(), port, protocol },
            target: Target::NodePort { port },
            verdict: Verdict::Broken,
            hops: hops.iter().map(hop).collect(),
            reason: None,
            answer: None,
        }
    }

    #[test]
    fn one_answering_node_is_enough_and_one_broken_host_address_too_much() {
        use ProbeOutcome::{Answered, Refused};
        let verdict = |hops: &[_]| judge(&trial(Protocol::Tcp, hops));
        assert_eq!(verdict(&[(From::Host, Answered), (From::Gate, Refused), (From::Gate, Answered)]), Verdict::Ok);
        assert_eq!(verdict(&[(From::Host, Answered), (From::Gate, Refused)]), Verdict::Broken);
        assert_eq!(verdict(&[(From::Host, Refused), (From::Gate, Answered)]), Verdict::Broken);
        assert_eq!(verdict(&[(From::Gate, Answered)]), Verdict::Ok);
    }

    #[test]
    fn silence_is_neither_good_nor_broken_and_a_refusal_is_broken() {
        use ProbeOutcome::{Answered, Refused, Silent};
        let verdict = |hops: &[_]| judge(&trial(Protocol::Udp, hops));
        assert_eq!(verdict(&[(From::Host, Answered)]), Verdict::Ok);
        assert_eq!(verdict(&[(From::Host, Silent), (From::Gate, Silent)]), Verdict::Silent);
        assert_eq!(verdict(&[(From::Host, Silent), (From::Gate, Answered)]), Verdict::Silent);
        assert_eq!(verdict(&[(From::Host, Silent), (From::Gate, Refused)]), Verdict::Broken);
        assert_eq!(verdict(&[(From::Gate, Answered)]), Verdict::Ok);
    }

    #[test]
    fn the_summary_names_the_hop_that_tells_most() {
        let mut broken =
            trial(Protocol::Tcp, &[(From::Host, ProbeOutcome::Answered), (From::Gate, ProbeOutcome::Refused)]);
        broken.verdict = judge(&broken);
        assert_eq!(broken.summary(), "127.0.0.1:30999 refuses: nothing listens there");
    }
}
