//! The frames of a WebSocket, as its server reads and writes them (RFC 6455).

use std::io;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use tokio_util::codec::{Decoder, Encoder};

use super::wire::Message;

/// The longest message that is taken, in bytes, as in Go's implementation.
const MAX_MESSAGE: usize = 32 << 20;

/// The longest payload of a control frame, in bytes.
const MAX_CONTROL: usize = 125;

const FIN: u8 = 0x80;
const MASKED: u8 = 0x80;

const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// The status of a normal close, 1000.
const NORMAL: [u8; 2] = 1000_u16.to_be_bytes();

/// Turns bytes into messages, and messages into bytes.
#[derive(Debug, Default)]
pub(crate) struct WebSocketCodec {
    /// A message of which some fragments have come, and what kind it is.
    begun: Option<(u8, BytesMut)>,
}

/// A frame's head, which says how long it is.
struct Head {
    fin: bool,
    opcode: u8,
    mask: [u8; 4],
    /// The length of the head, in bytes.
    length: usize,
    payload: usize,
}

impl Head {
    /// `None` if it is not all here.
    fn read(bytes: &[u8]) -> io::Result<Option<Self>> {
        let [first, second, rest @ ..] = bytes else { return Ok(None) };
        if second & MASKED == 0 {
            return Err(invalid("a client's frame without a mask"));
        }
        let (payload, rest, extra) = match second & !MASKED {
            126 => match rest.split_first_chunk() {
                Some((length, rest)) => (u64::from(u16::from_be_bytes(*length)), rest, 2),
                None => return Ok(None),
            },
            127 => match rest.split_first_chunk() {
                Some((length, rest)) => (u64::from_be_bytes(*length), rest, 8),
                None => return Ok(None),
            },
            short => (u64::from(short), rest, 0),
        };
        let payload = usize::try_from(payload).ok().filter(|length| *length <= MAX_MESSAGE);
        let payload = payload.ok_or_else(|| invalid("a frame that is too long"))?;
        let Some(mask) = rest.first_chunk() else { return Ok(None) };
        let (fin, opcode) = (first & FIN != 0, first & 0x0f);
        if opcode >= CLOSE && (!fin || payload > MAX_CONTROL) {
            return Err(invalid("a control frame that is too long"));
        }
        Ok(Some(Self { fin, opcode, mask: *mask, length: 6 + extra, payload }))
    }
}

impl Decoder for WebSocketCodec {
    type Item = Message;
    type Error = io::Error;

    fn decode(&mut self, bytes: &mut BytesMut) -> io::Result<Option<Message>> {
        while let Some(head) = Head::read(bytes)? {
            if bytes.len() < head.length + head.payload {
                bytes.reserve(head.length + head.payload - bytes.len());
                return Ok(None);
            }
            bytes.advance(head.length);
            let mut payload = bytes.split_to(head.payload);
            for (byte, mask) in payload.iter_mut().zip(head.mask.iter().cycle()) {
                *byte ^= mask;
            }
            if let Some(message) = self.take(&head, payload)? {
                return Ok(Some(message));
            }
        }
        Ok(None)
    }
}

impl WebSocketCodec {
    /// The message that ends with this frame.
    fn take(&mut self, head: &Head, payload: BytesMut) -> io::Result<Option<Message>> {
        let (opcode, payload) = match (head.opcode, self.begun.take()) {
            (CLOSE, _) => return Ok(Some(Message::Close)),
            (PING, begun) => {
                self.begun = begun;
                return Ok(Some(Message::Ping(payload.freeze())));
            }
            (PONG, begun) => {
                self.begun = begun;
                return Ok(None);
            }
            (CONTINUATION, Some((opcode, mut begun))) => {
                if begun.len() + payload.len() > MAX_MESSAGE {
                    return Err(invalid("a message that is too long"));
                }
                begun.unsplit(payload);
                (opcode, begun)
            }
            (TEXT | BINARY, None) => (head.opcode, payload),
            _ => return Err(invalid("a frame out of turn")),
        };
        if !head.fin {
            self.begun = Some((opcode, payload));
            return Ok(None);
        }
        let payload = payload.freeze();
        Ok(Some(if opcode == TEXT { Message::Text(payload) } else { Message::Binary(payload) }))
    }
}

impl Encoder<Message> for WebSocketCodec {
    type Error = io::Error;

    fn encode(&mut self, message: Message, bytes: &mut BytesMut) -> io::Result<()> {
        let (opcode, payload) = match message {
            Message::Binary(payload) => (BINARY, payload),
            Message::Text(payload) => (TEXT, payload),
            Message::Ping(payload) => (PING, payload),
            Message::Pong(payload) => (PONG, payload),
            Message::Close => (CLOSE, Bytes::from_static(&NORMAL)),
        };
        bytes.put_u8(FIN | opcode);
        match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
            (Ok(length @ ..126), _) => bytes.put_u8(length),
            (_, Ok(length)) => {
                bytes.put_u8(126);
                bytes.put_u16(length);
            }
            _ => {
                bytes.put_u8(127);
                bytes.put_u64(payload.len() as u64);
            }
        }
        bytes.put(payload);
        Ok(())
    }
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client's frame.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mask = [1, 2, 3, 4];
        let mut frame = vec![first];
        match payload.len() {
            length @ ..126 => frame.push(MASKED | u8::try_from(length).unwrap()),
            length => {
                frame.push(MASKED + 126);
                frame.extend(u16::try_from(length).unwrap().to_be_bytes());
            }
        }
        frame.extend(mask);
        frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        frame
    }

    fn decode(bytes: &[u8]) -> io::Result<Vec<Message>> {
        let (mut codec, mut buffer, mut messages) = (WebSocketCodec::default(), BytesMut::new(), Vec::new());
        // Byte by byte, so that everything is incomplete once.
        for byte in bytes {
            buffer.put_u8(*byte);
            while let Some(message) = codec.decode(&mut buffer)? {
                messages.push(message);
            }
        }
        Ok(messages)
    }

    #[test]
    fn messages_are_read_whole_or_in_fragments() {
        let long = vec![7; 300];
        let bytes =
            [frame(FIN | BINARY, &long), frame(TEXT, b"ab"), frame(FIN | PING, b"?"), frame(FIN, b"c")].concat();
        let expected = [
            Message::Binary(long.into()),
            Message::Ping(Bytes::from_static(b"?")),
            Message::Text(Bytes::from_static(b"abc")),
        ];
        assert_eq!(decode(&bytes).unwrap(), expected);
        assert_eq!(decode(&frame(FIN | CLOSE, &NORMAL)).unwrap(), [Message::Close]);
    }

    #[test]
    fn what_a_client_may_not_send_is_an_error() {
        assert!(decode(&[FIN | BINARY, 1, 0]).is_err(), "no mask");
        assert!(decode(&frame(FIN, b"continued")).is_err(), "nothing to continue");
        assert!(decode(&frame(FIN | PING, &[0; 126])).is_err(), "a ping too long");
        assert!(decode(&[FIN | BINARY, MASKED | 127, 1, 0, 0, 0, 0, 0, 0, 0]).is_err(), "too long");
    }

    #[test]
    fn lengths_are_written_as_short_as_they_can_be() {
        let encode = |length| {
            let mut bytes = BytesMut::new();
            WebSocketCodec::default().encode(Message::Binary(vec![0; length].into()), &mut bytes).unwrap();
            bytes[..bytes.len() - length].to_vec()
        };
        assert_eq!(encode(125), [0x82, 125]);
        assert_eq!(encode(126), [0x82, 126, 0, 126]);
        assert_eq!(encode(65536), [0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
    }
}
