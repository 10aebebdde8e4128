//! The binary. Everything it does is in `cli/`.
fn main() {}
