//! The target `netlink` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    portgate_fuzz::netlink::TARGET.run(data);
});
