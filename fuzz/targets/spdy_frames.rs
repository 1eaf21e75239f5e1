//! The target `spdy_frames` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    portgate_fuzz::spdy_frames::TARGET.run(data);
});
