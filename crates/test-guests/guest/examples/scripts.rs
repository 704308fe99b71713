//! Runs scripts, as its input says: see `scripts.rs` of the library.

use worker_guest::{Failure, Turn, Worker, worker};

struct Scripts;

impl Worker for Scripts {
    fn run(turn: Turn) -> Result<(), Failure> {
        hostile_guest::scripts::run(&turn)
    }
}

worker!(Scripts);
