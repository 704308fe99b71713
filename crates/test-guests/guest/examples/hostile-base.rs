//! The component that calls no model.

use hostile_guest::run;
use worker_guest::{Failure, Turn, Worker, worker};

struct Hostile;

worker!(Hostile);

impl Worker for Hostile {
    fn run(turn: Turn) -> Result<(), Failure> {
        run(&turn)
    }
}
