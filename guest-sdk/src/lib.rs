//! Write yoi Workers in Rust.
