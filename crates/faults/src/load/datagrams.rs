//! A UDP flow: numbered datagrams from one socket, each of which is to come back.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::record::{Loss, Record};
use crate::pattern;
use crate::random::Random;

/// How often a datagram is sent. A node that gets no processor for two seconds still has room for all of them in its
/// socket's buffer, which takes about 200 of the usual length.
const EVERY: Duration = Duration::from_millis(10);

/// A datagram without an answer for so long is lost.
const LOST: Duration = Duration::from_secs(3);

/// The number of a datagram, in its first bytes.
const NUMBER: usize = size_of::<u64>();

/// How many bytes follow the number.
const LENGTH: std::ops::Range<u64> = 0..400;

/// How many bytes follow it in one of [`LARGE_EVERY`] datagrams: no more than a link's MTU takes.
const LARGE: std::ops::Range<u64> = 400..1300;
const LARGE_EVERY: u64 = 16;

/// How long to wait for an answer until a datagram is sent again.
const AGAIN: Duration = Duration::from_millis(200);

/// Sends and receives for ever.
pub(super) async fn run(to: SocketAddr, seed: u64, record: Arc<Record>) {
    let socket = loop {
        match connected(to).await {
            Ok(socket) => break socket,
            Err(_) => sleep(AGAIN).await,
        }
    };
    tokio::join!(send(&socket, seed, &record), receive(&socket, seed, &record));
}

/// Sends one datagram, again and again until an answer comes.
pub(crate) async fn exchange(to: SocketAddr, seed: u64, limit: Duration) -> Result<(), Loss> {
    let attempt = async {
        let socket = connected(to).await?;
        let (request, mut answer) = (datagram(seed, 0, NUMBER), [0; 4 * NUMBER]);
        loop {
            // It may be refused until somebody listens.
            let _ = socket.send(&request).await;
            if let Ok(Ok(length)) = timeout(AGAIN, socket.recv(&mut answer)).await {
                return checked(seed, &answer[..length]).map(drop);
            }
        }
    };
    timeout(limit, attempt).await.unwrap_or(Err(Loss::Silent))
}

async fn connected(to: SocketAddr) -> io::Result<UdpSocket> {
    let any: SocketAddr = if to.is_ipv4() { (Ipv4Addr::LOCALHOST, 0).into() } else { (Ipv6Addr::LOCALHOST, 0).into() };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(to).await?;
    Ok(socket)
}

async fn send(socket: &UdpSocket, seed: u64, record: &Record) {
    let mut random = Random::new(seed);
    let mut pace = interval(EVERY);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        pace.tick().await;
        let number = record.begin();
        let length = random.within(if number.is_multiple_of(LARGE_EVERY) { LARGE } else { LENGTH });
        let length = usize::try_from(length).unwrap_or_default();
        // Refused, where nobody listens for the moment: it is lost, and the next is sent.
        let _ = socket.send(&datagram(seed, number, length)).await;
        record.give_up(LOST);
    }
}

async fn receive(socket: &UdpSocket, seed: u64, record: &Record) {
    let mut buffer = vec![0; 65_535];
    loop {
        if let Ok(length) = socket.recv(&mut buffer).await {
            match checked(seed, &buffer[..length]) {
                Ok(number) => record.end(number, Ok(())),
                Err(Loss::Wrong { position }) => record.wrong(position),
                Err(_) => {}
            }
        }
    }
}

/// A number, and so many bytes of a pattern of its own.
fn datagram(seed: u64, number: u64, length: usize) -> Vec<u8> {
    let mut datagram = vec![0; NUMBER + length];
    let (head, body) = datagram.split_at_mut(NUMBER);
    head.copy_from_slice(&number.to_be_bytes());
    pattern::fill(seed ^ number, 0, body);
    datagram
}

/// The number of a datagram of which every byte came back inverted.
fn checked(seed: u64, answer: &[u8]) -> Result<u64, Loss> {
    let Some((head, body)) = answer.split_first_chunk() else { return Err(Loss::Wrong { position: 0 }) };
    let number = !u64::from_be_bytes(*head);
    match pattern::first_wrong(seed ^ number, 0, body) {
        Some(position) => Err(Loss::Wrong { position: position + NUMBER as u64 }),
        None => Ok(number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_the_inverted_datagram_of_the_same_flow() {
        let mut answer = datagram(3, 12, 100);
        assert!(checked(3, &answer).is_err());
        pattern::invert(&mut answer);
        assert_eq!(checked(3, &answer), Ok(12));
        assert!(matches!(checked(4, &answer), Err(Loss::Wrong { .. })));
        answer[50] ^= 4;
        assert_eq!(checked(3, &answer), Err(Loss::Wrong { position: 50 }));
        assert_eq!(checked(3, &answer[..5]), Err(Loss::Wrong { position: 0 }));
    }
}
