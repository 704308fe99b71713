//! A Worker as an author writes it, who has the SDK and nothing else of yoi.
#![deny(warnings, missing_docs, unsafe_code)]

use worker_guest::{Failure, Turn, Worker, worker};

struct Greeter;

worker!(Greeter);

impl Worker for Greeter {
    fn run(turn: Turn) -> Result<(), Failure> {
        let name = turn.config("name")?.unwrap_or_else(|| turn.text());
        turn.say(&format!("Good day, {name}."))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use worker_guest::testing::TestTurn;

    use super::*;

    #[test]
    fn greets() {
        assert_eq!(TestTurn::text("Ada").run::<Greeter>().said, ["Good day, Ada."]);
    }
}
