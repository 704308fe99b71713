//! The commands that take their input whole: bashkit's own do less than people expect of them.

use std::sync::Arc;

use super::{bc, buffered::Buffered, copy, date, diff, expr, ls, patch, remove, stat};
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
