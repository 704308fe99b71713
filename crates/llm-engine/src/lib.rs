//! Model providers behind one streaming trait: usage, typed errors, aliases.

/// Models by alias.
#[derive(Debug, Clone, Default)]
pub struct Models;
