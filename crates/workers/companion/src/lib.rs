//! A chat Worker: it hands the conversation to a model and streams the answer.

use worker_guest::{Failure, Request, Turn, Worker, worker};

#[cfg(test)]
mod tests;

const PROMPT: &str = include_str!("prompt.md");

struct Companion;

worker!(Companion);

impl Worker for Companion {
    fn run(turn: Turn) -> Result<(), Failure> {
        let model = turn.config("model")?.unwrap_or_else(|| "default".to_owned());
        // The host records the answer as it comes: there is nothing to say here.
        for event in turn.complete(Request::history(model).system(PROMPT))? {
            event?;
        }
        Ok(())
    }
}
