//! Whether a session still lives, and for how long one without streams is kept. The clock is passed in.

use std::time::Duration;

use portgate_core::limits::API_ANSWER;
use tokio::time::Instant;

/// How long a session may be silent before it is asked for a sign of life. It is asked at latest after twice this.
pub(super) const SILENCE: Duration = Duration::from_secs(30);

/// How long a sign of life may take, or the reply to a stream.
pub(super) const PATIENCE: Duration = API_ANSWER;

/// How long a session without streams is kept.
pub(super) const IDLE: Duration = Duration::from_mins(1);

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Nothing yet.
    Nothing,
    /// To send a ping.
    Ping,
    /// To end: it has had no stream for [`IDLE`].
    Idle,
    /// To end: it has not answered within [`PATIENCE`].
    Silent,
}

/// Watches one session.
///
/// A pod that does not read what it is sent may keep the whole session from being read at the other end, pings
/// included. So an answer is insisted on only if all data that was sent before is known to have been read.
#[derive(Debug)]
pub(super) struct Watchdog {
    /// When silence is looked at next.
    tick: Instant,
    /// Whether anything has come since the last time.
    heard: bool,
    /// When something has to have come.
    deadline: Option<Instant>,
    /// Whether that is the reply to a stream, and nothing else will do.
    awaits_reply: bool,
    /// When a session without streams ends.
    idle: Option<Instant>,
    /// Whether a ping is on its way.
    pinged: bool,
    unread: Unread,
}

/// Which of the data that was sent may not have been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unread {
    /// None.
    Nothing,
    /// What was sent before the newest ping.
    BeforePing,
    /// Some that was sent after it.
    AfterPing,
}

impl Watchdog {
    /// Watches a session that has just been made.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            tick: now + SILENCE,
            heard: true,
            deadline: None,
            awaits_reply: false,
            idle: Some(now + IDLE),
            pinged: false,
            unread: Unread::Nothing,
        }
    }

    /// When [`Watchdog::due`] is to be asked.
    pub(super) fn next(&self) -> Instant {
        [self.deadline, self.idle].into_iter().flatten().fold(self.tick, Instant::min)
    }

    /// A stream was opened, which is answered at once.
    pub(super) fn opened(&mut self, now: Instant) {
        self.idle = None;
        self.insist(now);
        self.awaits_reply |= self.deadline.is_some();
    }

    /// Every stream was answered.
    pub(super) fn replied(&mut self) {
        self.awaits_reply = false;
        self.deadline = None;
    }

    /// The last stream has ended.
    pub(super) fn emptied(&mut self, now: Instant) {
        self.idle = Some(now + IDLE);
        self.unread = Unread::Nothing;
        self.awaits_reply = false;
    }

    /// Data was sent.
    pub(super) fn sent(&mut self) {
        self.unread = Unread::AfterPing;
    }

    /// Something has come.
    pub(super) fn heard(&mut self) {
        self.heard = true;
        if !self.awaits_reply {
            self.deadline = None;
        }
    }

    /// The ping was answered.
    pub(super) fn ponged(&mut self) {
        self.pinged = false;
        if self.unread == Unread::BeforePing {
            self.unread = Unread::Nothing;
        }
    }

    /// What is due now. `deaf`: the session is not being read at the moment.
    pub(super) fn due(&mut self, now: Instant, deaf: bool) -> Due {
        if self.idle.is_some_and(|idle| idle <= now) {
            self.idle = Some(now + IDLE);
            return Due::Idle;
        }
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            self.deadline = None;
            if deaf {
                self.awaits_reply = false;
                self.insist(now);
            } else {
                return Due::Silent;
            }
        }
        if self.tick > now {
            return Due::Nothing;
        }
        self.tick = now + SILENCE;
        if std::mem::take(&mut self.heard) || deaf || self.pinged {
            return Due::Nothing;
        }
        self.pinged = true;
        if self.unread == Unread::AfterPing {
            self.unread = Unread::BeforePing;
        }
        self.insist(now);
        Due::Ping
    }

    fn insist(&mut self, now: Instant) {
        if self.unread == Unread::Nothing {
            self.deadline.get_or_insert(now + PATIENCE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A session with one stream that was answered, and the time.
    fn session() -> (Watchdog, Instant) {
        let now = Instant::now();
        let mut watchdog = Watchdog::new(now);
        watchdog.opened(now);
        watchdog.heard();
        watchdog.replied();
        (watchdog, now)
    }

    /// The first thing that is due after `now`, and when.
    fn first(watchdog: &mut Watchdog, mut now: Instant, deaf: bool) -> (Due, Instant) {
        for _ in 0..10 {
            now = watchdog.next();
            let due = watchdog.due(now, deaf);
            if due != Due::Nothing {
                return (due, now);
            }
        }
        (Due::Nothing, now)
    }

    #[test]
    fn silence_is_asked_about_and_then_ends_the_session() {
        let (mut watchdog, now) = session();
        assert_eq!(first(&mut watchdog, now, false), (Due::Ping, now + 2 * SILENCE));
        assert_eq!(first(&mut watchdog, now, false), (Due::Silent, now + 2 * SILENCE + PATIENCE));
    }

    #[test]
    fn a_session_that_answers_is_asked_for_ever() {
        let (mut watchdog, mut now) = session();
        for _ in 0..100 {
            let (due, then) = first(&mut watchdog, now, false);
            assert_eq!(due, Due::Ping);
            assert!(then - now <= 2 * SILENCE);
            watchdog.heard();
            watchdog.ponged();
            now = then;
        }
    }

    #[test]
    fn a_stream_that_is_not_answered_ends_the_session() {
        let now = Instant::now();
        let mut watchdog = Watchdog::new(now);
        watchdog.opened(now);
        watchdog.sent();
        // Other signs of life are no answer.
        watchdog.heard();
        watchdog.ponged();
        assert_eq!(first(&mut watchdog, now, false), (Due::Silent, now + PATIENCE));
    }

    #[test]
    fn a_pod_that_does_not_read_is_no_sign_of_death() {
        let (mut watchdog, now) = session();
        watchdog.sent();
        assert_eq!(first(&mut watchdog, now, false).0, Due::Ping);
        assert_eq!(first(&mut watchdog, now, false).0, Due::Nothing);
        watchdog.heard();
        watchdog.ponged();
        assert_eq!(first(&mut watchdog, now, false).0, Due::Ping);
        assert_eq!(first(&mut watchdog, now, false).0, Due::Silent, "everything was read");
    }

    #[test]
    fn an_answer_tells_nothing_of_data_that_was_sent_after_the_question() {
        let (mut watchdog, now) = session();
        assert_eq!(first(&mut watchdog, now, false).0, Due::Ping);
        watchdog.sent();
        watchdog.heard();
        watchdog.ponged();
        assert_eq!(first(&mut watchdog, now, false).0, Due::Ping);
        assert_eq!(first(&mut watchdog, now, false).0, Due::Nothing);
    }

    #[test]
    fn a_session_that_is_not_read_is_not_asked() {
        let (mut watchdog, now) = session();
        assert_eq!(first(&mut watchdog, now, true).0, Due::Nothing);
    }

    #[test]
    fn a_session_without_streams_ends_after_a_while() {
        let (mut watchdog, now) = session();
        watchdog.emptied(now + SILENCE / 2);
        watchdog.heard();
        watchdog.due(now + SILENCE, false);
        watchdog.heard();
        assert_eq!(watchdog.due(now + SILENCE / 2 + IDLE, false), Due::Idle);
    }
}
