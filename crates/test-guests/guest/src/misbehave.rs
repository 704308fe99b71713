//! Using up what a turn has, and ending it badly.

use std::{fmt::Write as _, hint::black_box, thread, time::Duration};

use worker_guest::{Failure, Turn};

use crate::Command;

const MEBIBYTE: usize = 1 << 20;

pub(crate) fn run(turn: &Turn, command: Command<'_>) -> Option<Result<(), Failure>> {
    Some(match command.name {
        "spin" => spin(),
        "spin-in-host-calls" => loop {
            black_box(turn.id());
        },
        "sleep" => command.number().map(|milliseconds| {
            thread::sleep(Duration::from_millis(milliseconds as u64));
        }),
        "trap" => trap(),
        "panic" => panic!("{}", command.argument),
        "fail" => Err(Failure::new(command.argument)),
        "exit" => exit(command),
        "grow" => grow(turn, command),
        "hog" => hog(command),
        "fill" => fill(command),
        "flood" => flood(turn),
        "flood-text" => flood_text(turn),
        "flood-state" => flood_state(turn),
        "flood-tools" => flood_tools(turn),
        "flood-stdout" => flood_stdout(),
        "recurse" => {
            black_box(recurse(1));
            Ok(())
        }
        "handles" => handles(turn, command),
        "utter-hang" => utter_hang(turn),
        "tool-trap" => tool_trap(turn),
        _ => return None,
    })
}

fn spin() -> ! {
    let mut count = 0_u64;
    loop {
        count = black_box(count.wrapping_add(1));
    }
}

/// Executes `unreachable`, without the message that a panic would print.
fn trap() -> ! {
    #[cfg(target_arch = "wasm32")]
    std::arch::wasm32::unreachable();
    #[cfg(not(target_arch = "wasm32"))]
    std::process::abort();
}

#[expect(clippy::exit, reason = "the host has to cope with a guest that does")]
fn exit(command: Command<'_>) -> Result<(), Failure> {
    std::process::exit(i32::try_from(command.number()?)?)
}

/// Takes and touches memory until it has so many MiB or is refused, and says how much it got.
fn grow(turn: &Turn, command: Command<'_>) -> Result<(), Failure> {
    let wanted = command.number()?;
    let mut blocks: Vec<Vec<u8>> = Vec::new();
    while blocks.len() < wanted {
        let mut block = Vec::new();
        if block.try_reserve_exact(MEBIBYTE).is_err() {
            break;
        }
        block.resize(MEBIBYTE, 1);
        blocks.push(black_box(block));
    }
    let got = blocks.len();
    // Given back first, so that there is room to say it.
    drop(blocks);
    turn.say(&format!("got {got} MiB"))?;
    Ok(())
}

/// Takes memory in one piece, as most programs do: without asking whether there is any.
fn hog(command: Command<'_>) -> Result<(), Failure> {
    let taken = vec![1_u8; command.number()? * MEBIBYTE];
    black_box(&taken);
    Ok(())
}

/// Fills so many MiB over and over, each time with one instruction.
fn fill(command: Command<'_>) -> Result<(), Failure> {
    let mut block = vec![0_u8; command.number()? * MEBIBYTE];
    for byte in (0..=u8::MAX).cycle() {
        black_box(&mut block).fill(byte);
    }
    Ok(())
}

/// Says something for as long as it is let.
fn flood(turn: &Turn) -> Result<(), Failure> {
    loop {
        turn.say("again")?;
    }
}

/// Says one message that never ends, and starts another where it has to.
fn flood_text(turn: &Turn) -> Result<(), Failure> {
    let piece = "x".repeat(1_000);
    loop {
        let mut utterance = turn.utter()?;
        while utterance.delta(&piece).is_ok() {}
    }
}

/// Keeps one value after the other.
fn flood_state(turn: &Turn) -> Result<(), Failure> {
    for number in 0_u64.. {
        turn.state_set("key", &number.to_string())?;
    }
    Ok(())
}

/// Calls one tool after the other and takes no result.
fn flood_tools(turn: &Turn) -> Result<(), Failure> {
    loop {
        drop(turn.begin_tool("flooding", "{}")?);
    }
}

/// Prints for ever.
#[expect(clippy::print_stdout, reason = "the point of it")]
fn flood_stdout() -> ! {
    loop {
        println!("{}", black_box("a line like any other"));
    }
}

#[expect(unconditional_recursion, reason = "the point of it")]
fn recurse(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    recurse(depth + 1).wrapping_add(frame[1])
}

/// Opens so many messages and keeps them all.
fn handles(turn: &Turn, command: Command<'_>) -> Result<(), Failure> {
    let mut open = Vec::new();
    for count in 0..command.number()? {
        match turn.utter() {
            Ok(utterance) => open.push(utterance),
            Err(error) => return Err(Failure::new(format!("{error} (after {count} handles)"))),
        }
    }
    let mut text = String::new();
    write!(text, "opened {}", open.len())?;
    turn.say(&text)?;
    Ok(())
}

fn utter_hang(turn: &Turn) -> Result<(), Failure> {
    let mut utterance = turn.utter()?;
    utterance.delta("before the hang")?;
    spin()
}

fn tool_trap(turn: &Turn) -> Result<(), Failure> {
    let _call = turn.begin_tool("trapping", "{}")?;
    trap()
}
