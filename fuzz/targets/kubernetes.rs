//! The target `kubernetes` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    portgate_fuzz::kubernetes::TARGET.run(data);
});
