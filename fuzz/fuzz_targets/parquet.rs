#![no_main]

// The reader catches panics of the libraries; libFuzzer's own hook would end the run at each.
libfuzzer_sys::fuzz_target!(
    init: std::panic::set_hook(Box::new(|_| {})),
    |data: &[u8]| lakewright_tests::fuzz::parquet::check(data)
);
