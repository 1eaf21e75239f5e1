//! Which of several backends the kernel may lead to.
//!
//! The relay tries another backend where one refuses; the kernel cannot. A node that has just started takes seconds until
//! it serves its node ports. So, where a mapping has several backends, the kernel leads to those that have answered since
//! they appeared; to all of them, where none has. While every backend has answered, nothing is asked.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use portgate_core::port::Protocol;
use portgate_core::table::Table;
use tokio::net::TcpStream;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};

/// How long a backend may take to answer one attempt.
const ANSWER: Duration = Duration::from_secs(1);

/// How soon a backend that does not answer is asked again: at first, and at last.
const AGAIN: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// How long a UDP backend is left out, of which nobody can say whether it listens.
const SILENCE: Duration = Duration::from_secs(5);

/// One of several ends of a mapping.
type End = (Protocol, SocketAddr);

/// The backends that have answered, and the questions to those that have not.
#[derive(Debug, Default)]
pub(crate) struct Admission {
    admitted: BTreeSet<End>,
    asked: BTreeMap<End, AbortHandle>,
    questions: JoinSet<End>,
}

impl Admission {
    /// What the kernel may do of this table. Backends that are new are asked; what is known of others is forgotten.
    pub(crate) fn admit(&mut self, table: &Table) -> Table {
        let ends = rivals(table);
        self.admitted.retain(|end| ends.contains(end));
        self.asked.retain(|end, question| {
            let wanted = ends.contains(end);
            if !wanted {
                question.abort();
            }
            wanted
        });
        for end in ends {
            if !self.admitted.contains(&end) && !self.asked.contains_key(&end) {
                self.asked.insert(end, self.questions.spawn(answer(end)));
            }
        }
        admitted(table, &self.admitted)
    }

    /// Ends when another backend is admitted; never, where none is asked. Cancel-safe.
    pub(crate) async fn next(&mut self) {
        loop {
            match self.questions.join_next().await {
                Some(Ok(end)) => {
                    self.asked.remove(&end);
                    self.admitted.insert(end);
                    return;
                }
                // It was not to be asked any more.
                Some(Err(_)) => {}
                None => std::future::pending().await,
            }
        }
    }
}

/// The backends that have others beside them.
fn rivals(table: &Table) -> BTreeSet<End> {
    let several = table.iter().filter_map(|(local, resolution)| {
        let backends = resolution.as_ref().ok().filter(|backends| backends.len() > 1)?;
        Some(backends.iter().map(move |backend| (local.protocol, backend.address)))
    });
    several.flatten().collect()
}

/// The table without the backends that are not admitted, except where none is.
fn admitted(table: &Table, admitted: &BTreeSet<End>) -> Table {
    let mut table = table.clone();
    for (local, resolution) in &mut table {
        if let Ok(backends) = resolution
            && backends.iter().any(|backend| admitted.contains(&(local.protocol, backend.address)))
        {
            backends.retain(|backend| admitted.contains(&(local.protocol, backend.address)));
        }
    }
    table
}

/// Waits until a backend has answered, however long that takes.
async fn answer(end: End) -> End {
    let (protocol, address) = end;
    if protocol == Protocol::Udp {
        sleep(SILENCE).await;
        return end;
    }
    let (mut pause, longest) = AGAIN;
    while !matches!(timeout(ANSWER, TcpStream::connect(address)).await, Ok(Ok(_))) {
        sleep(pause).await;
        pause = (pause * 2).min(longest);
    }
    end
}

#[cfg(test)]
mod tests {
    use portgate_core::mapping::{HostAddresses, Local};
    use portgate_core::port::Port;
    use portgate_core::table::{Backend, Reach};
    use tokio::net::TcpListener;

    use super::*;

    fn table(protocol: Protocol, backends: &[SocketAddr]) -> Table {
        let local = Local { addresses: HostAddresses::loopback(), port: Port::new(30999).unwrap(), protocol };
        let backend = |&address| Backend { node: "node".to_owned(), address, reach: Reach::Node };
        Table::from([(local, Ok(backends.iter().map(backend).collect()))])
    }

    fn ends(table: &Table) -> Vec<SocketAddr> {
        table.values().flatten().flatten().map(|backend| backend.address).collect()
    }

    #[tokio::test]
    async fn of_two_nodes_the_kernel_leads_to_the_one_that_answers() {
        let (one, other) =
            (TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap());
        let (up, down) = (one.local_addr().unwrap(), other.local_addr().unwrap());
        drop(other);
        let table = table(Protocol::Tcp, &[up, down]);
        let mut admission = Admission::default();
        assert_eq!(ends(&admission.admit(&table)), [up, down], "nobody has answered yet");
        admission.next().await;
        assert_eq!(ends(&admission.admit(&table)), [up]);
        let _other = TcpListener::bind(down).await.unwrap();
        admission.next().await;
        assert_eq!(ends(&admission.admit(&table)), [up, down]);
    }

    #[tokio::test]
    async fn a_node_that_has_gone_and_come_back_is_asked_again() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (up, silent) = (listener.local_addr().unwrap(), "127.0.0.1:1".parse().unwrap());
        let (both, without) = (table(Protocol::Tcp, &[silent, up]), table(Protocol::Tcp, &[silent]));
        let mut admission = Admission::default();
        admission.admit(&both);
        admission.next().await;
        assert_eq!(ends(&admission.admit(&both)), [up]);
        assert_eq!(ends(&admission.admit(&without)), [silent]);
        assert_eq!(ends(&admission.admit(&both)), [silent, up]);
    }

    #[tokio::test]
    async fn udp_cannot_answer_and_is_given_time() {
        tokio::time::pause();
        let ends: [SocketAddr; 2] = ["172.18.0.2:53".parse().unwrap(), "172.18.0.3:53".parse().unwrap()];
        let start = tokio::time::Instant::now();
        let mut admission = Admission::default();
        admission.admit(&table(Protocol::Udp, &ends));
        admission.next().await;
        assert!(start.elapsed() >= SILENCE);
    }

    #[tokio::test]
    async fn a_single_backend_is_not_asked() {
        let mut admission = Admission::default();
        let alone = table(Protocol::Tcp, &["127.0.0.1:1".parse().unwrap()]);
        assert_eq!(admission.admit(&alone), alone);
        assert!(admission.questions.is_empty());
    }
}
