//! The target `escape` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    portgate_fuzz::escape::TARGET.run(data);
});
