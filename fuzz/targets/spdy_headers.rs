//! The target `spdy_headers` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    portgate_fuzz::spdy_headers::TARGET.run(data);
});
