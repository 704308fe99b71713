//! `yes`.

use std::io;

use crate::command::{Command, Invocation, Pending};

/// Says the same line until nobody listens.
#[derive(Debug)]
pub(super) struct Yes;

impl Command for Yes {
    fn run<'a>(&'a self, mut call: Invocation<'a>) -> Pending<'a, io::Result<u8>> {
        Box::pin(async move {
            let words: Vec<&str> = call.arguments.iter().map(String::as_str).collect();
            let line = if words.is_empty() { "y\n".to_owned() } else { words.join(" ") + "\n" };
            let block = line.repeat((16 * 1024 / line.len()).max(1));
            loop {
                call.output.write(block.as_bytes()).await?;
            }
        })
    }
}
