//! The `yoi` command.

fn main() {}
