//! The component that tries the network: it connects to the address in its input and says how that
//! went.

use std::net::TcpStream;

use worker_guest::{Failure, Turn, Worker, worker};

struct Network;

worker!(Network);

impl Worker for Network {
    fn run(turn: Turn) -> Result<(), Failure> {
        let outcome = match TcpStream::connect(turn.text()) {
            Ok(_) => "connected".to_owned(),
            Err(error) => format!("{error}"),
        };
        turn.say(&outcome)?;
        Ok(())
    }
}
