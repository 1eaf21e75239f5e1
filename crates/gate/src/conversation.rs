//! Conversations over the control socket, and what they may take of the gate.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use portgate_core::control::{Refusal, Request, Response};
use portgate_core::limits::{CONTROL_LINE, CONTROL_REQUESTS, CONTROL_SILENCE, CONTROL_TRANSFER};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, timeout};

use crate::server::Call;

/// How much of a request is read at a time, in bytes, and what each conversation has for it anyway: any request but that
/// of many mappings.
const PIECE: usize = 16 << 10;

/// All conversations of a gate.
pub(crate) struct Conversations {
    most: usize,
    /// What unanswered requests may take beyond their first piece, in pieces.
    room: Arc<Semaphore>,
    tasks: JoinSet<()>,
    open: BTreeMap<u64, Open>,
    begun: u64,
}

struct Open {
    task: AbortHandle,
    silence: Silence,
}

/// Since when a client has said nothing that could be answered; `None` while it waits for the gate.
#[derive(Clone, Default)]
struct Silence(Arc<Mutex<Option<Instant>>>);

impl Silence {
    fn set(&self, since: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }

    fn since(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Conversations {
    pub(crate) fn new(most: usize) -> Self {
        let room = Arc::new(Semaphore::new(CONTROL_REQUESTS.most / PIECE));
        Self { most, room, tasks: JoinSet::new(), open: BTreeMap::new(), begun: 0 }
    }

    /// Begins a conversation. If there are too many, the one that was silent for longest ends; that may be this one, if all
    /// others wait for the gate.
    pub(crate) fn begin(&mut self, stream: UnixStream, calls: &mpsc::Sender<Call>) {
        self.open.retain(|_, open| !open.task.is_finished());
        let silence = Silence::default();
        silence.set(Some(Instant::now()));
        let conversation = Conversation {
            stream,
            request: Vec::new(),
            taken: None,
            room: self.room.clone(),
            silence: silence.clone(),
        };
        let task = self.tasks.spawn(conversation.run(calls.clone()));
        self.open.insert(self.begun, Open { task, silence });
        self.begun += 1;
        if self.open.len() > self.most {
            self.end_most_silent();
        }
    }

    fn end_most_silent(&mut self) {
        let silent = self.open.iter().filter_map(|(&number, open)| Some((open.silence.since()?, number)));
        if let Some(open) = silent.min().and_then(|(_, number)| self.open.remove(&number)) {
            tracing::debug!("a silent connection to the control socket made room for another");
            open.task.abort();
        }
    }

    /// Whether one that was ended to make room still has its descriptor.
    pub(crate) fn are_too_many(&self) -> bool {
        self.tasks.len() > self.most
    }

    /// Ends when a conversation has; never, where there is none. Cancel-safe.
    pub(crate) async fn ended(&mut self) {
        if self.tasks.join_next().await.is_none() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits for the end of all.
    pub(crate) async fn finish(mut self) {
        while self.tasks.join_next().await.is_some() {}
    }
}

/// One request after the other.
struct Conversation {
    stream: UnixStream,
    /// What has come, and is not answered yet.
    request: Vec<u8>,
    /// The room that it takes.
    taken: Option<OwnedSemaphorePermit>,
    room: Arc<Semaphore>,
    silence: Silence,
}

impl Conversation {
    /// Goes on until the other side hangs up, is silent, or takes too long.
    async fn run(mut self, calls: mpsc::Sender<Call>) {
        while let Some(end) = self.request().await {
            self.silence.set(None);
            let response = match serde_json::from_slice(&self.request[..end]) {
                Ok(request) => match ask(&calls, request).await {
                    Some(response) => response,
                    None => return,
                },
                Err(error) => Response::Refused(Refusal::Malformed { message: error.to_string() }),
            };
            self.forget(end);
            let Ok(mut line) = serde_json::to_vec(&response) else { return };
            drop(response);
            line.push(b'\n');
            if !matches!(timeout(CONTROL_TRANSFER, self.stream.write_all(&line)).await, Ok(Ok(()))) {
                return;
            }
            self.silence.set(Some(Instant::now()));
        }
    }

    /// Waits for a whole request, and returns where it ends; `None` if there is none.
    async fn request(&mut self) -> Option<usize> {
        if self.request.is_empty() && !timeout(CONTROL_SILENCE, self.read()).await.ok()? {
            return None;
        }
        timeout(CONTROL_TRANSFER, self.rest()).await.ok()?
    }

    async fn rest(&mut self) -> Option<usize> {
        let mut looked_at = 0;
        loop {
            if let Some(end) = self.request[looked_at..].iter().position(|&byte| byte == b'\n') {
                return Some(looked_at + end);
            }
            looked_at = self.request.len();
            if looked_at > CONTROL_LINE.most || !self.read().await {
                return None;
            }
        }
    }

    /// Reads some more; false at the end.
    async fn read(&mut self) -> bool {
        if self.request.len() == self.request.capacity() {
            if self.request.capacity() > 0 {
                let Ok(more) = self.room.clone().acquire_owned().await else { return false };
                match &mut self.taken {
                    Some(taken) => taken.merge(more),
                    None => self.taken = Some(more),
                }
            }
            self.request.reserve_exact(PIECE);
        }
        matches!(self.stream.read_buf(&mut self.request).await, Ok(1..))
    }

    /// Drops a request that is answered, and what it took; what came after it stays.
    fn forget(&mut self, end: usize) {
        self.request = self.request.split_off(end + 1);
        if self.request.is_empty() {
            self.request = Vec::new();
            self.taken = None;
        }
    }
}

/// The loop's answer; `None` once the gate ends.
async fn ask(calls: &mpsc::Sender<Call>, request: Request) -> Option<Response> {
    let (answer, response) = oneshot::channel();
    calls.send(Call { request, answer }).await.ok()?;
    response.await.ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use portgate_core::control::{ProbeOutcome, ProbeResult};

    use super::*;

    /// Conversations with a gate that answers everything with this response.
    struct Stage {
        conversations: Conversations,
        calls: mpsc::Sender<Call>,
        _gate: JoinSet<()>,
    }

    impl Stage {
        fn new(most: usize, response: Response) -> Self {
            let (calls, mut called) = mpsc::channel::<Call>(1);
            let mut gate = JoinSet::new();
            gate.spawn(async move {
                while let Some(call) = called.recv().await {
                    let _ = call.answer.send(response.clone());
                }
            });
            Self { conversations: Conversations::new(most), calls, _gate: gate }
        }

        fn client(&mut self) -> UnixStream {
            let (client, stream) = UnixStream::pair().unwrap();
            self.conversations.begin(stream, &self.calls);
            client
        }
    }

    fn done() -> Response {
        Response::Done { revision: 1, unsaved: None }
    }

    const REQUEST: &[u8] = b"{\"request\":\"stop\"}\n";
    const ANSWER: &[u8] = b"{\"response\":\"done\",\"revision\":1}\n";

    async fn asks(client: &mut UnixStream) -> bool {
        let mut answer = vec![0; ANSWER.len()];
        client.write_all(REQUEST).await.is_ok() && client.read_exact(&mut answer).await.is_ok() && answer == ANSWER
    }

    /// How long it takes until the gate hangs up.
    async fn hung_up(client: &mut UnixStream) -> Duration {
        let start = Instant::now();
        while !matches!(client.read(&mut [0; 4096]).await, Ok(0) | Err(_)) {}
        start.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_says_half_a_request_is_left() {
        let mut stage = Stage::new(2, done());
        let mut client = stage.client();
        assert!(asks(&mut client).await);
        client.write_all(&REQUEST[..5]).await.unwrap();
        let waited = hung_up(&mut client).await;
        assert!(waited >= CONTROL_TRANSFER && waited < CONTROL_SILENCE, "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_says_a_byte_now_and_then_is_left_too() {
        let mut stage = Stage::new(2, done());
        let mut client = stage.client();
        let start = Instant::now();
        while client.write_all(b" ").await.is_ok() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert!(start.elapsed() <= CONTROL_TRANSFER + Duration::from_secs(2), "{:?}", start.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_says_nothing_is_left_after_a_while() {
        let mut stage = Stage::new(2, done());
        let mut client = stage.client();
        assert!(asks(&mut client).await);
        assert!(hung_up(&mut client).await >= CONTROL_SILENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_read_is_left() {
        let result = |_| ProbeResult {
            node: "n".repeat(100),
            address: ([127, 0, 0, 1], 1).into(),
            outcome: ProbeOutcome::Answered,
            elapsed: Duration::ZERO,
        };
        let mut stage = Stage::new(2, Response::Probed { results: (0..10_000).map(result).collect() });
        let mut client = stage.client();
        client.write_all(REQUEST).await.unwrap();
        let start = Instant::now();
        stage.conversations.ended().await;
        assert!(start.elapsed() >= CONTROL_TRANSFER && start.elapsed() < CONTROL_SILENCE, "{:?}", start.elapsed());
    }

    #[tokio::test]
    async fn a_further_client_takes_the_place_of_the_most_silent() {
        let mut stage = Stage::new(2, done());
        let (mut first, mut second) = (stage.client(), stage.client());
        assert!(asks(&mut second).await);
        assert!(asks(&mut first).await);
        let mut third = stage.client();
        assert!(stage.conversations.are_too_many(), "the third waits to be accepted until the second is gone");
        stage.conversations.ended().await;
        assert!(!stage.conversations.are_too_many());
        hung_up(&mut second).await;
        assert!(asks(&mut first).await && asks(&mut third).await);
    }

    #[tokio::test]
    async fn a_client_that_waits_for_its_answer_keeps_its_place() {
        let mut stage = Stage::new(1, done());
        let (answer, mut called) = mpsc::channel(1);
        stage.calls = answer;
        let mut first = stage.client();
        first.write_all(REQUEST).await.unwrap();
        let call: Call = called.recv().await.unwrap();
        hung_up(&mut stage.client()).await;
        call.answer.send(done()).unwrap();
        let mut received = vec![0; ANSWER.len()];
        first.read_exact(&mut received).await.unwrap();
        assert_eq!(received, ANSWER);
    }

    #[tokio::test(start_paused = true)]
    async fn unfinished_requests_take_no_more_room_than_there_is() {
        const PIECES: usize = 3;
        let mut stage = Stage::new(4, done());
        stage.conversations.room = Arc::new(Semaphore::new(PIECES));
        let mut clients: Vec<UnixStream> = (0..2).map(|_| stage.client()).collect();
        let mut taken = 0;
        for client in &mut clients {
            // As much as is taken without a wait, by the gate and by the socket's buffer.
            while let Ok(Ok(bytes)) = timeout(Duration::from_secs(1), client.write(&[b' '; PIECE])).await {
                taken += bytes;
            }
        }
        assert!(taken > PIECES * PIECE && taken < 2 << 20, "{taken}");
        assert_eq!(stage.conversations.room.available_permits(), 0);
        // Small requests are heard all the same.
        assert!(asks(&mut stage.client()).await);
        for client in &mut clients {
            hung_up(client).await;
        }
        assert_eq!(stage.conversations.room.available_permits(), PIECES);
    }

    #[tokio::test]
    async fn requests_may_come_in_pieces_and_several_at_a_time() {
        let mut stage = Stage::new(1, done());
        let mut client = stage.client();
        for byte in REQUEST {
            client.write_all(&[*byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
        client.write_all(&[REQUEST, REQUEST].concat()).await.unwrap();
        let mut answers = vec![0; 3 * ANSWER.len()];
        client.read_exact(&mut answers).await.unwrap();
        assert_eq!(answers, ANSWER.repeat(3));
        let long = [&b" ".repeat(5 * PIECE), REQUEST].concat();
        client.write_all(&long).await.unwrap();
        client.read_exact(&mut answers[..ANSWER.len()]).await.unwrap();
        drop(client);
        stage.conversations.ended().await;
        assert_eq!(stage.conversations.room.available_permits(), CONTROL_REQUESTS.most / PIECE);
    }
}
