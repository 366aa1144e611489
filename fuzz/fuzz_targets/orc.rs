#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| lakewright_tests::fuzz::orc::check(data));
