//! Workers whose code is foreign: they speak the protocol, and break it.

use std::io::{self, stdin};
use std::os::fd::AsFd;
use std::thread::park;

use portgate_gate::worker::sandbox::filter_calls;
use serde_json::{Value, json};

/// The first byte of a packet.
const MORE: u8 = 0;
const COMPLETE: u8 = 1;

/// Longer than any packet.
const PACKET: usize = 64 << 10;

/// Works in this manner, until the supervisor is gone.
pub(crate) fn work(manner: &str) -> io::Result<()> {
    let mut worker = Hostile::default();
    while let Some(order) = hear()? {
        worker.obey(manner, &order)?;
    }
    Ok(())
}

#[derive(Default)]
struct Hostile {
    /// The mappings in the order in which they came.
    open: Vec<Value>,
    marks: u64,
}

impl Hostile {
    fn obey(&mut self, manner: &str, order: &Value) -> io::Result<()> {
        if let Some(opened) = order.get("Open") {
            self.open.push(opened["local"].clone());
            if manner == "refuses another" && self.open.len() > 1 {
                say(&json!({ "Refused": { "local": self.open[0], "message": "not any more" } }))?;
            }
        }
        if order == "Count" && manner == "lies" {
            self.lie()?;
        }
        if let Some(mark) = order.get("Mark") {
            self.marks += 1;
            // The first is that of the start.
            if self.marks > 1 {
                misbehave(manner)?;
            }
            say(&json!({ "Reached": { "mark": mark["number"] } }))?;
        }
        Ok(())
    }

    /// Counts what it does not carry, as much as can be, with an error as long as a report may be.
    fn lie(&self) -> io::Result<()> {
        let mut stranger = self.open[0].clone();
        stranger["port"] = json!(1);
        let error = json!({ "at": "2026-01-01T00:00:00Z", "message": "x".repeat(1 << 20) });
        let counters = json!({ "bytes_in": u64::MAX, "last_error": error });
        say(&json!({ "Counters": [[self.open[0], counters], [stranger, { "bytes_in": 1 }]] }))
    }
}

/// What it does in place of an answer.
fn misbehave(manner: &str) -> io::Result<()> {
    match manner {
        "floods" => loop {
            say(&json!({ "Counters": [] }))?;
        },
        "wishes" => loop {
            say(&json!({ "Wish": { "round": 1, "failed": true } }))?;
        },
        "promises" => say(&json!({ "Reached": { "mark": u64::MAX } })),
        "does not end" => loop {
            send(&vec![MORE; PACKET / 2])?;
        },
        "talks nonsense" => send(&[COMPLETE, b'{']),
        "falls silent" => loop {
            park();
        },
        "hangs up" => {
            rustix::net::shutdown(stdin(), rustix::net::Shutdown::Both)?;
            loop {
                park();
            }
        }
        "opens a file" => {
            filter_calls().map_err(io::Error::other)?;
            std::fs::read("/etc/hostname").map(drop)
        }
        _ => Ok(()),
    }
}

/// The next order; `None` if there is no supervisor any more.
fn hear() -> io::Result<Option<Value>> {
    let mut message = Vec::new();
    loop {
        let mut packet = vec![0; PACKET];
        let length = rustix::io::read(stdin(), &mut packet)?;
        let Some((&head, payload)) = packet[..length].split_first() else { return Ok(None) };
        message.extend_from_slice(payload);
        if head == COMPLETE {
            return Ok(Some(serde_json::from_slice(&message)?));
        }
    }
}

/// Sends a report in as many packets as it takes.
fn say(report: &Value) -> io::Result<()> {
    let text = report.to_string();
    let mut parts = text.as_bytes().chunks(PACKET / 2).peekable();
    while let Some(part) = parts.next() {
        let head = if parts.peek().is_some() { MORE } else { COMPLETE };
        send(&[&[head], part].concat())?;
    }
    Ok(())
}

fn send(packet: &[u8]) -> io::Result<()> {
    Ok(rustix::io::write(stdin().as_fd(), packet).map(drop)?)
}
