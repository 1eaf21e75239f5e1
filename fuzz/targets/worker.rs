//! The target `worker` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    portgate_fuzz::worker::TARGET.run(data);
});
