//! The commands that take their input whole: bashkit's own do less than people expect of them.

mod bc;
mod buffered;
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

use std::sync::Arc;

use buffered::Buffered;

use crate::command::Command;

/// All of them, by name.
pub(super) fn all() -> impl Iterator<Item = (&'static str, Arc<dyn Command>)> {
    let commands: [(&str, Buffered); 13] = [
        ("bc", bc::BC),
        ("cp", copy::CP),
        ("date", date::DATE),
        ("diff", diff::DIFF),
        ("expr", expr::EXPR),
        ("ls", ls::LS),
        ("mkdir", remove::MKDIR),
        ("mv", copy::MV),
        ("patch", patch::PATCH),
        ("realpath", stat::REALPATH),
        ("rm", remove::RM),
        ("rmdir", remove::RMDIR),
        ("stat", stat::STAT),
    ];
    commands.into_iter().map(|(name, command)| (name, Arc::new(command) as Arc<dyn Command>))
}
