//! New TCP connections, each with one exchange, up to the end of both directions.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::ReadHalf;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::LIMIT;
use super::record::{Loss, Record};
use crate::pattern;
use crate::random::Random;

/// How often a connection is made.
const EVERY: Duration = Duration::from_millis(50);

/// How many bytes one carries in each direction.
const LENGTH: std::ops::Range<u64> = 1..64 << 10;

/// Makes connections for ever.
pub(super) async fn run(to: SocketAddr, seed: u64, record: Arc<Record>) {
    let mut random = Random::new(seed);
    let mut pace = interval(EVERY);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut attempts = JoinSet::new();
    loop {
        pace.tick().await;
        let (seed, length, record) = (random.next(), random.within(LENGTH), Arc::clone(&record));
        let number = record.begin();
        attempts.spawn(async move { record.end(number, exchange(to, seed, length).await) });
        while attempts.try_join_next().is_some() {}
    }
}

/// One connection that sends so many bytes of a pattern, ends its direction, and checks all that comes back.
pub(crate) async fn exchange(to: SocketAddr, seed: u64, length: u64) -> Result<(), Loss> {
    let attempt = async {
        let mut stream = TcpStream::connect(to).await?;
        let mut request = vec![0; usize::try_from(length).unwrap_or_default()];
        pattern::fill(seed, 0, &mut request);
        let (reader, mut writer) = stream.split();
        let upload = async {
            writer.write_all(&request).await?;
            writer.shutdown().await?;
            Ok(())
        };
        tokio::try_join!(upload, check(reader, seed, length)).map(drop)
    };
    timeout(LIMIT, attempt).await.unwrap_or(Err(Loss::Silent))
}

async fn check(mut reader: ReadHalf<'_>, seed: u64, length: u64) -> Result<(), Loss> {
    let mut buffer = vec![0; 16 << 10];
    let mut received = 0;
    loop {
        let now = reader.read(&mut buffer).await?;
        if let Some(position) = pattern::first_wrong(seed, received, &buffer[..now]) {
            return Err(Loss::Wrong { position });
        }
        received += now as u64;
        match received {
            more if more > length => return Err(Loss::Wrong { position: length }),
            all if now == 0 && all == length => return Ok(()),
            _ if now == 0 => return Err(Loss::Short { received, of: length }),
            _ => {}
        }
    }
}
