//! What the input asks for.

use worker_guest::Failure;

/// A command and its argument.
#[derive(Debug, Clone, Copy)]
pub struct Command<'a> {
    /// What to do.
    pub name: &'a str,
    /// What is behind the colon; empty if there is none.
    pub argument: &'a str,
}

impl<'a> Command<'a> {
    /// Splits `name: argument`.
    #[must_use]
    pub fn parse(text: &'a str) -> Self {
        let (name, argument) = text.split_once(':').unwrap_or((text, ""));
        Self { name: name.trim(), argument: argument.trim() }
    }

    /// The argument as a number.
    pub fn number(self) -> Result<usize, Failure> {
        self.argument.parse().map_err(|_| Failure::new(format!("`{}` needs a number", self.name)))
    }
}
