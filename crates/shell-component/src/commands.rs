//! The commands that data flows through: bashkit's own read all of their input before they write.

mod cat;

use std::sync::Arc;

use crate::command::Command;

/// All of them, by name.
#[must_use]
pub fn all() -> Vec<(String, Arc<dyn Command>)> {
    let commands: [(&str, Arc<dyn Command>); 1] = [("cat", Arc::new(cat::Cat))];
    commands.into_iter().map(|(name, command)| (name.to_owned(), command)).collect()
}
