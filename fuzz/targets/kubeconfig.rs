//! The target `kubeconfig` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    portgate_fuzz::kubeconfig::TARGET.run(data);
});
