//! One TCP connection that goes on for as long as it lives, and is then made again.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::LIMIT;
use super::record::{Loss, Record};
use crate::pattern;
use crate::random::Random;

/// How much is sent at once, in bytes.
const PIECE: usize = 16 << 10;

/// How often.
const EVERY: Duration = Duration::from_millis(40);

/// How long after its end the connection is made again.
const AGAIN: Duration = Duration::from_millis(100);

/// Keeps a connection open for ever.
pub(super) async fn run(to: SocketAddr, seed: u64, record: Arc<Record>) {
    let mut random = Random::new(seed);
    loop {
        converse(to, random.next(), &record).await;
        sleep(AGAIN).await;
    }
}

/// One connection, up to its end.
async fn converse(to: SocketAddr, seed: u64, record: &Record) {
    let number = record.begin();
    let connected = timeout(LIMIT, TcpStream::connect(to)).await;
    let mut stream = match connected.map_err(|_| Loss::Silent).and_then(|outcome| outcome.map_err(Loss::from)) {
        Ok(stream) => stream,
        Err(loss) => return record.end(number, Err(loss)),
    };
    let mut pace = interval(EVERY);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut number = Some(number);
    for offset in (0..).step_by(PIECE) {
        pace.tick().await;
        let current = number.take().unwrap_or_else(|| record.begin());
        let outcome = timeout(LIMIT, piece(&mut stream, seed, offset)).await.unwrap_or(Err(Loss::Silent));
        let is_over = outcome.is_err();
        record.end(current, outcome);
        if is_over {
            return;
        }
    }
}

async fn piece(stream: &mut TcpStream, seed: u64, offset: u64) -> Result<(), Loss> {
    let (mut request, mut answer) = (vec![0; PIECE], vec![0; PIECE]);
    pattern::fill(seed, offset, &mut request);
    let (mut reader, mut writer) = stream.split();
    let upload = async { writer.write_all(&request).await.map_err(Loss::from) };
    let download = async {
        let mut received = 0;
        while received < PIECE {
            match reader.read(&mut answer[received..]).await? {
                0 => return Err(Loss::Short { received: received as u64, of: PIECE as u64 }),
                now => received += now,
            }
        }
        Ok(())
    };
    tokio::try_join!(upload, download)?;
    match pattern::first_wrong(seed, offset, &answer) {
        Some(position) => Err(Loss::Wrong { position }),
        None => Ok(()),
    }
}
