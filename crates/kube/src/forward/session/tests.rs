//! A session whose other end is played by the test, over pipes of memory and a paused clock.

use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use portgate_core::port::Port;
use portgate_spdy::{Event, GoAwayStatus, Headers, Limits, Session as Spdy, Status, StreamId};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::watchdog::{IDLE, PATIENCE, SILENCE};
use super::*;
use crate::forward::PodName;
use crate::forward::lease::{New, Sessions};
use crate::forward::wire::Plain;

const DAY: Duration = Duration::from_hours(24);

/// How much either pipe holds, in bytes.
const PIPE: usize = 64 * 1024;

/// A session, with its task.
struct Lab {
    sessions: Sessions,
    link: Arc<Link>,
    task: JoinSet<()>,
}

/// The other end.
struct Peer {
    stream: DuplexStream,
    spdy: Spdy,
    input: BytesMut,
    pings: usize,
}

fn pod() -> PodName {
    PodName { namespace: "shop".to_owned(), name: "web".to_owned() }
}

fn session() -> (Lab, Peer) {
    let (near, far) = duplex(PIPE);
    let (sessions, mut task) = (Sessions::default(), JoinSet::new());
    let (_, new) = sessions.lease(&pod());
    let New { member, link, commands } = new.unwrap();
    task.spawn(Session::new(Box::new(Plain(near)), Arc::clone(&link), member).run(commands));
    let peer = Peer { stream: far, spdy: Spdy::server(Limits::default()), input: BytesMut::new(), pings: 0 };
    (Lab { sessions, link, task }, peer)
}

impl Lab {
    /// Opens a stream; none if the session takes no more.
    async fn try_open(&self) -> Option<PodStream> {
        // Whatever the pool chooses, it is this session that is asked.
        let (lease, _) = self.sessions.lease(&pod());
        let (answer, opened) = oneshot::channel();
        self.link.command(Command::Open { port: Port::new(80).unwrap(), lease, answer });
        opened.await.ok().map(Result::unwrap)
    }

    /// A stream that the peer has accepted, and its numbers there: of the one for errors, and of the one for data.
    async fn open(&self, peer: &mut Peer) -> (PodStream, StreamId, StreamId) {
        let (stream, (error, data)) =
            tokio::join!(self.try_open(), async { (peer.accept().await, peer.accept().await) });
        (stream.unwrap(), error, data)
    }

    /// Waits until the session has ended.
    async fn ended(&mut self) {
        self.task.join_next().await.unwrap().unwrap();
    }
}

impl Peer {
    /// The next thing that this end does, but for pings, which are answered; none once it has closed.
    async fn try_next(&mut self) -> Option<Event> {
        loop {
            let before = self.spdy.output().remaining();
            if let Some(event) = self.spdy.receive(&mut self.input).unwrap() {
                return Some(event);
            }
            self.pings += usize::from(self.spdy.output().remaining() > before);
            self.flush().await;
            self.input.reserve(PIPE);
            if self.stream.read_buf(&mut self.input).await.unwrap_or_default() == 0 {
                return None;
            }
        }
    }

    async fn next(&mut self) -> Event {
        self.try_next().await.unwrap()
    }

    async fn accept(&mut self) -> StreamId {
        loop {
            if let Event::Opened { stream, .. } = self.next().await {
                self.spdy.reply(stream, &Headers::new(), false).unwrap();
                self.flush().await;
                return stream;
            }
        }
    }

    async fn send(&mut self, stream: StreamId, bytes: &'static [u8], fin: bool) {
        self.spdy.send(stream, Bytes::from_static(bytes), fin).unwrap();
        self.flush().await;
    }

    async fn flush(&mut self) {
        // Who has closed does not read.
        let _ = self.stream.write_all_buf(self.spdy.output()).await;
    }

    /// The data of the next frame of this stream, and whether it is the last.
    async fn data(&mut self, wanted: StreamId) -> (Bytes, bool) {
        loop {
            if let Event::Data { stream, bytes, fin } = self.next().await
                && stream == wanted
            {
                return (bytes, fin);
            }
        }
    }

    /// Plays on until this end has closed, and tells how long that took.
    async fn until_closed(&mut self) -> Duration {
        let since = Instant::now();
        while self.try_next().await.is_some() {}
        since.elapsed()
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_silent_for_a_day_is_there_after_it() {
    let (lab, mut peer) = session();
    let (mut stream, _, data) = lab.open(&mut peer).await;
    {
        let day = sleep(DAY);
        tokio::pin!(day);
        tokio::select! {
            () = &mut day => {}
            event = async { while let Event::Data { .. } = peer.next().await {} } => panic!("{event:?}"),
        }
    }
    assert!(peer.pings > 1000, "{} pings", peer.pings);
    stream.sender.send(Bytes::from_static(b"still")).await.unwrap();
    assert_eq!(peer.data(data).await, (Bytes::from_static(b"still"), false));
    peer.send(data, b"there", true).await;
    assert_eq!(stream.receiver.next().await.unwrap().unwrap(), "there");
    assert_eq!(stream.receiver.next().await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_falls_silent_is_given_up() {
    let (mut lab, mut peer) = session();
    let (mut stream, ..) = lab.open(&mut peer).await;
    let since = Instant::now();
    let error = stream.receiver.next().await.unwrap_err();
    assert!(matches!(&error, StreamError::Lost(loss) if matches!(**loss, Loss::Silent(_))), "{error:?}");
    assert!(since.elapsed() <= 2 * SILENCE + PATIENCE);
    assert_eq!(stream.verdict.wait().await, None);
    assert!(matches!(stream.sender.send(Bytes::from_static(b"?")).await, Err(StreamError::Lost(_))));
    lab.ended().await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_answer_a_stream_is_given_up_though_data_was_sent() {
    let (lab, _peer) = session();
    let since = Instant::now();
    let mut stream = lab.try_open().await.unwrap();
    stream.sender.send(Bytes::from_static(b"hello?")).await.unwrap();
    assert!(matches!(stream.receiver.next().await, Err(StreamError::Lost(_))));
    assert_eq!(since.elapsed(), PATIENCE);
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_does_not_read_for_a_day_is_waited_for() {
    let (lab, mut peer) = session();
    let (mut stream, _, data) = lab.open(&mut peer).await;
    // The peer reads nothing, and so answers no pings.
    let upload = async {
        for _ in 0..20 {
            stream.sender.send(Bytes::from(vec![7; 32 * 1024])).await.unwrap();
        }
        stream.sender.finish().await.unwrap();
    };
    let pod = async {
        sleep(DAY).await;
        let mut count = 0;
        loop {
            let (bytes, fin) = peer.data(data).await;
            count += bytes.len();
            if fin {
                break count;
            }
        }
    };
    let ((), count) = tokio::join!(upload, pod);
    assert_eq!(count, 20 * 32 * 1024);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_for_a_day_is_waited_for() {
    let (lab, mut peer) = session();
    let (mut stream, _, data) = lab.open(&mut peer).await;
    let pod = async {
        for _ in 0..1000 {
            peer.send(data, &[7; 1000], false).await;
        }
        peer.send(data, b"", true).await;
        peer.until_closed().await;
    };
    let client = async {
        sleep(DAY).await;
        let mut count = 0;
        while let Some(bytes) = stream.receiver.next().await.unwrap() {
            count += bytes.len();
        }
        drop((stream, lab));
        count
    };
    let (count, ()) = tokio::join!(client, pod);
    assert_eq!(count, 1_000_000);
}

#[tokio::test(start_paused = true)]
async fn a_session_without_streams_says_farewell_after_a_minute() {
    let (mut lab, mut peer) = session();
    let (mut stream, error, data) = lab.open(&mut peer).await;
    stream.sender.finish().await.unwrap();
    peer.send(data, b"", true).await;
    peer.send(error, b"", true).await;
    assert_eq!(stream.receiver.next().await.unwrap(), None);
    assert_eq!(stream.verdict.wait().await, None);
    assert_eq!(peer.until_closed().await, IDLE);
    lab.ended().await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_goes_away_gets_no_more_streams_and_ends_those_that_it_has() {
    let (mut lab, mut peer) = session();
    let (mut stream, error, data) = lab.open(&mut peer).await;
    peer.spdy.go_away(GoAwayStatus::Ok);
    peer.send(data, b"last", true).await;
    assert_eq!(stream.receiver.next().await.unwrap().unwrap(), "last");
    assert!(lab.try_open().await.is_none());
    stream.sender.finish().await.unwrap();
    peer.send(error, b"", true).await;
    peer.until_closed().await;
    lab.ended().await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_the_server_resets_is_told_from_others_and_ends_its_session_last() {
    let (mut lab, mut peer) = session();
    let (mut bad, bad_error, bad_data) = lab.open(&mut peer).await;
    let (mut good, good_error, good_data) = lab.open(&mut peer).await;
    peer.spdy.reset(bad_data, Status::InternalError);
    peer.send(bad_error, b"no luck", true).await;
    assert!(matches!(bad.receiver.next().await, Err(StreamError::Reset(Status::InternalError))));
    assert!(matches!(bad.sender.send(Bytes::from_static(b"x")).await, Err(StreamError::Reset(_))));
    assert_eq!(bad.verdict.wait().await.as_deref(), Some("no luck"));
    peer.send(good_data, b"fine", true).await;
    assert_eq!(good.receiver.next().await.unwrap().unwrap(), "fine");
    assert!(lab.try_open().await.is_none(), "a session with a reset stream is not used again");
    good.sender.finish().await.unwrap();
    peer.send(good_error, b"", true).await;
    peer.until_closed().await;
    lab.ended().await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_dropped_is_reset_in_both_its_parts_and_no_other_is() {
    let (lab, mut peer) = session();
    let (bad, bad_error, bad_data) = lab.open(&mut peer).await;
    let (mut good, _, good_data) = lab.open(&mut peer).await;
    drop(bad);
    let mut reset = Vec::new();
    while reset.len() < 2 {
        if let Event::Reset { stream, status } = peer.next().await {
            assert_eq!(status, Status::Cancel);
            reset.push(stream);
        }
    }
    assert_eq!(reset, [bad_data, bad_error]);
    good.sender.send(Bytes::from_static(b"still")).await.unwrap();
    assert_eq!(peer.data(good_data).await.0, "still");
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_the_pod_has_left_is_finished_and_not_reset() {
    let (lab, mut peer) = session();
    let (stream, error, data) = lab.open(&mut peer).await;
    peer.send(data, b"", true).await;
    peer.send(error, b"refused", true).await;
    assert_eq!(stream.verdict.wait().await.as_deref(), Some("refused"));
    drop(stream);
    assert_eq!(peer.data(data).await, (Bytes::new(), true));
    let (_again, ..) = lab.open(&mut peer).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_no_spdy_ends_the_session_and_says_why() {
    let (mut lab, mut peer) = session();
    let (mut stream, ..) = lab.open(&mut peer).await;
    peer.stream.write_all(&[0xff; 16]).await.unwrap();
    let error = stream.receiver.next().await.unwrap_err();
    assert!(matches!(&error, StreamError::Lost(loss) if matches!(**loss, Loss::Spdy(_))), "{error:?}");
    lab.ended().await;
}

#[tokio::test(start_paused = true)]
async fn what_has_come_is_received_before_the_loss() {
    let (lab, mut peer) = session();
    let (mut stream, _, data) = lab.open(&mut peer).await;
    peer.send(data, b"last words", false).await;
    drop(peer);
    assert_eq!(stream.receiver.next().await.unwrap().unwrap(), "last words");
    assert!(matches!(stream.receiver.next().await, Err(StreamError::Lost(_))));
    drop(lab);
}

#[tokio::test(start_paused = true)]
async fn a_stream_has_the_headers_that_kubectl_gives_it() {
    let (lab, mut peer) = session();
    let _stream = lab.try_open().await.unwrap();
    for kind in ["error", "data"] {
        let Event::Opened { headers, fin, .. } = peer.next().await else { panic!("no stream") };
        assert!(!fin);
        let header = |name| std::str::from_utf8(headers.get(name).unwrap()).unwrap();
        assert_eq!((header("streamtype"), header("port"), header("requestid")), (kind, "80", "0"));
        if kind == "error" {
            assert!(matches!(peer.next().await, Event::Data { fin: true, .. }), "nothing is said on it");
        }
    }
}
