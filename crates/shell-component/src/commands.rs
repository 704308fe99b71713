//! The commands that data flows through: bashkit's own read all of their input before they write.

mod bc;
mod buffered;
mod cat;
mod copy;
mod date;
mod diff;
mod expr;
mod gnu_options;
mod ls;
mod owner;
mod patch;
mod remove;
mod stat;
mod timestamp;
mod whole;

use std::sync::Arc;

use crate::command::Command;

/// All of them, by name.
#[must_use]
pub fn all() -> Vec<(String, Arc<dyn Command>)> {
    let commands: [(&str, Arc<dyn Command>); 1] = [("cat", Arc::new(cat::Cat))];
    let commands = commands.into_iter().chain(whole::all());
    commands.map(|(name, command)| (name.to_owned(), command)).collect()
}
