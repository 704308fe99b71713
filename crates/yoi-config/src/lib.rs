//! The schema of yoi.toml.
