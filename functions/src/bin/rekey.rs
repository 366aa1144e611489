//! rekey
fn main() {}
