//! The component with every command.

use hostile_guest::run_with_model;
use worker_guest::{Failure, Turn, Worker, worker};

struct Hostile;

worker!(Hostile);

impl Worker for Hostile {
    fn run(turn: Turn) -> Result<(), Failure> {
        run_with_model(&turn)
    }
}
