//! The commands that take their input whole: bashkit's own do less than people expect of them.

mod bc;
mod buffered;
mod cmp;
mod copy;
mod csplit;
mod date;
mod diff;
mod expr;
mod getopt;
mod gnu_options;
mod gzip;
mod link;
mod ls;
mod numfmt;
mod owner;
mod patch;
mod pattern;
mod remove;
mod stat;
mod tar;
mod timestamp;

use std::sync::Arc;

use buffered::Buffered;

use crate::command::Command;

/// All of them, by name.
pub(super) fn all() -> impl Iterator<Item = (&'static str, Arc<dyn Command>)> {
    let commands: [(&str, Buffered); 23] = [
        ("bc", bc::BC),
        ("cmp", cmp::CMP),
        ("cp", copy::CP),
        ("csplit", csplit::CSPLIT),
        ("date", date::DATE),
        ("diff", diff::DIFF),
        ("expr", expr::EXPR),
        ("getopt", getopt::GETOPT),
        ("gunzip", gzip::GUNZIP),
        ("gzip", gzip::GZIP),
        ("ln", link::LN),
        ("ls", ls::LS),
        ("mkdir", remove::MKDIR),
        ("mv", copy::MV),
        ("numfmt", numfmt::NUMFMT),
        ("patch", patch::PATCH),
        ("realpath", stat::REALPATH),
        ("rm", remove::RM),
        ("rmdir", remove::RMDIR),
        ("sdiff", diff::SDIFF),
        ("stat", stat::STAT),
        ("tar", tar::TAR),
        ("zcat", gzip::ZCAT),
    ];
    commands.into_iter().map(|(name, command)| (name, Arc::new(command) as Arc<dyn Command>))
}
