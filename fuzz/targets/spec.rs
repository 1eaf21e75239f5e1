//! The target `spec` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    portgate_fuzz::spec::TARGET.run(data);
});
