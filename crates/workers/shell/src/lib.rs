//! A Worker without a model: its input is a script, which it runs. What the script writes is what
//! the Worker says, and how it ends is how the turn ends.

use worker_guest::{
    Failure, Turn, Worker,
    shell::{Decoder, Ending, Piece, Script},
    worker,
};

mod speech;
#[cfg(test)]
mod tests;

use speech::Speech;

struct Shell;

worker!(Shell);

impl Worker for Shell {
    fn run(turn: Turn) -> Result<(), Failure> {
        let mut shell = turn.shell()?;
        let mut speech = Speech::new(&turn);
        // Each may be within a character when the other one writes.
        let (mut stdout, mut stderr) = (Decoder::new(), Decoder::new());
        let mut ending = None;
        for piece in shell.start(Script::new(turn.text()))? {
            match piece {
                Piece::Stdout(bytes) => speech.say(&stdout.decode(&bytes))?,
                Piece::Stderr(bytes) => speech.say(&stderr.decode(&bytes))?,
                Piece::Ended(how) => ending = Some(how),
                Piece::Other(_) => {}
            }
        }
        speech.say(stdout.finish())?;
        speech.say(stderr.finish())?;
        speech.end()?;
        match ending {
            Some(Ending::Exited(0)) => Ok(()),
            Some(ending) => Err(Failure::new(ending.to_string())),
            None => Err(Failure::new("the shell did not say how the script ended")),
        }
    }
}
