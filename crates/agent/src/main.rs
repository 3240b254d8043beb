//! The stock program.
fn main() {}
