//! The commands that data flows through: bashkit's own read all of their input before they write.

mod cat;
mod cut;
mod echo;
mod feed;
mod grep;
mod head;
mod nl;
mod number;
mod options;
mod rev;
mod seq;
mod sort;
mod tail;
mod tee;
mod tr;
mod uniq;
mod wc;
mod whole;
mod yes;

use std::sync::Arc;

use crate::command::Command;

/// All of them, by name.
#[must_use]
pub fn all() -> Vec<(String, Arc<dyn Command>)> {
    let commands: Vec<(&str, Arc<dyn Command>)> = vec![
        ("cat", Arc::new(cat::Cat)),
        ("cut", Arc::new(cut::Cut)),
        ("echo", Arc::new(echo::Echo)),
        ("egrep", Arc::new(grep::Grep)),
        ("fgrep", Arc::new(grep::Grep)),
        ("grep", Arc::new(grep::Grep)),
        ("head", Arc::new(head::Head)),
        ("nl", Arc::new(nl::Nl)),
        ("rev", Arc::new(rev::Rev)),
        ("seq", Arc::new(seq::Seq)),
        ("sort", Arc::new(sort::Sort)),
        ("tac", Arc::new(rev::Tac)),
        ("tail", Arc::new(tail::Tail)),
        ("tee", Arc::new(tee::Tee)),
        ("tr", Arc::new(tr::Tr)),
        ("uniq", Arc::new(uniq::Uniq)),
        ("wc", Arc::new(wc::Wc)),
        ("yes", Arc::new(yes::Yes)),
        ("zegrep", Arc::new(grep::Grep)),
        ("zfgrep", Arc::new(grep::Grep)),
        ("zgrep", Arc::new(grep::Grep)),
    ];
    let commands = commands.into_iter().chain(whole::all());
    commands.map(|(name, command)| (name.to_owned(), command)).collect()
}
