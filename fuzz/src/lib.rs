//! Fuzz targets: every reader of bytes that come from outside, with what has to hold for any bytes.
//!
//! A target is a function. Under libFuzzer (`cargo xtask fuzz`) it gets bytes that libFuzzer makes, led by the code that
//! they reach; in `tests/replay.rs`, which is an ordinary test, the files below `corpus` and `regressions`.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a target panics when something does not hold"
)]

pub mod archive;
pub mod control;
pub mod escape;
mod json;
pub mod kubeconfig;
pub mod kubernetes;
pub mod netlink;
pub mod spdy_frames;
pub mod spdy_headers;
pub mod spec;
pub mod state;
pub mod worker;

use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// What a reader may use beside what its input asks for, in bytes: tables and buffers of a fixed size.
const FIXED: usize = 1 << 20;

/// A reader, and what has to hold for any bytes.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, and that of its directories below `corpus` and `regressions`.
    pub name: &'static str,
    /// Reads the bytes, and panics if something does not hold. Returns whether the bytes meant anything.
    pub check: fn(&[u8]) -> bool,
    /// How much memory reading may take for each byte of input, in bytes.
    pub growth: usize,
}

/// All targets.
pub const TARGETS: [Target; 11] = [
    archive::TARGET,
    control::TARGET,
    escape::TARGET,
    kubeconfig::TARGET,
    kubernetes::TARGET,
    netlink::TARGET,
    spdy_frames::TARGET,
    spdy_headers::TARGET,
    spec::TARGET,
    state::TARGET,
    worker::TARGET,
];

impl Target {
    /// Checks the bytes, and that reading them took no more memory than it may. Returns whether they meant anything.
    ///
    /// # Panics
    ///
    /// If something does not hold. The memory is that of the whole process, so one target may run at a time.
    pub fn run(&self, data: &[u8]) -> bool {
        let before = MEMORY.current_usage();
        MEMORY.reset_peak_usage();
        let is_understood = (self.check)(data);
        let used = MEMORY.peak_usage().saturating_sub(before);
        let most = FIXED + self.growth * data.len();
        assert!(used <= most, "{} bytes took {used} bytes of memory, more than {most}", data.len());
        is_understood
    }
}
