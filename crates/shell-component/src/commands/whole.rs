//! The commands that take their input whole: bashkit's own do less than people expect of them.

use std::sync::Arc;

use super::{bc, buffered::Buffered, date, diff, expr, patch};
use crate::command::Command;

/// All of them, by name.
pub(super) fn all() -> impl Iterator<Item = (&'static str, Arc<dyn Command>)> {
    let commands: [(&str, Buffered); 5] = [
        ("bc", bc::BC),
        ("date", date::DATE),
        ("diff", diff::DIFF),
        ("expr", expr::EXPR),
        ("patch", patch::PATCH),
    ];
    commands.into_iter().map(|(name, command)| (name, Arc::new(command) as Arc<dyn Command>))
}
