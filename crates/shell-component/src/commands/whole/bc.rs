//! `bc`: arithmetic with as many digits as one likes.

mod machine;
mod mathematics;
mod number;
mod parse;

use super::{
    buffered::{Buffered, Call, always},
    gnu_options::Known,
};
use machine::{Ending, Machine};

/// `bc`.
pub(crate) const BC: Buffered = Buffered { wants_input: always, run };

const KNOWN: Known = Known {
    short: "lqsiwhv",
    long: &[
        ("mathlib", 'l'),
        ("quiet", 'q'),
        ("standard", 's'),
        ("interactive", 'i'),
        ("warn", 'w'),
        ("version", 'v'),
    ],
};

fn run(call: &mut Call<'_>) -> u8 {
    let given = match KNOWN.parse(call.arguments) {
        Ok(given) => given,
        Err(message) => {
            call.complain(message);
            return 1;
        }
    };
    if given.has('v') {
        call.say("bc 1.07.1");
        return 0;
    }
    let mut machine = Machine::new(given.has('l'));
    let mut texts = Vec::new();
    for file in &given.operands {
        match call.read(file) {
            Ok(text) => texts.push(text),
            Err(_) => {
                call.complain(format_args!("File {file} is unavailable."));
                return 1;
            }
        }
    }
    texts.push(std::mem::take(&mut call.input));
    for text in texts {
        let ending = machine.run(&String::from_utf8_lossy(&text));
        call.output.append(&mut machine.output);
        call.errors.append(&mut machine.errors);
        if ending == Ending::Quit {
            break;
        }
    }
    0
}
