//! What a peer may ask of this end, and how much it may keep waiting here.

/// How long a block of headers may be, in bytes before compression, in both directions.
pub const MAX_HEADER_BLOCK: usize = 64 * 1024;

/// How long a control frame may be, in bytes without its head: room for the longest block of headers, should compression
/// find nothing in it. Kubernetes' frames have some 80 bytes.
pub const MAX_CONTROL_FRAME: usize = MAX_HEADER_BLOCK + 1024;

/// How many bytes of answers that nobody but the peer asked for may wait to be written: some 5000 pings. A peer that asks
/// for more without reading any would fill the memory.
pub(crate) const MAX_ANSWERS: usize = 64 * 1024;

/// The limits of a session that its owner chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many streams the peer may have open at a time; a further one is refused. Kubernetes' servers open none.
    pub peer_streams: usize,
    /// How many bytes may wait to be written before no more data is accepted.
    pub send_buffer: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { peer_streams: 1000, send_buffer: 256 * 1024 }
    }
}
