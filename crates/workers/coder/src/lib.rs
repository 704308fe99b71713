//! A Worker that works on files: a model with tools on the directory that it is granted.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
};

use worker_guest::{
    Failure, Turn, Worker,
    agent::{Agent, Ended},
    tools::Toolbox,
    worker,
};

#[cfg(test)]
mod tests;

const PROMPT: &str = include_str!("prompt.md");

/// Where the directory is that it works in, unless the profile's setting `directory` says otherwise.
const DIRECTORY: &str = "/workspace";

/// What a repository tells agents that work in it.
const INSTRUCTIONS: &str = "AGENTS.md";

/// The most of it that is read: the rest is for people.
const MAX_INSTRUCTIONS_BYTES: u64 = 32 << 10;

struct Coder;

worker!(Coder);

impl Worker for Coder {
    fn run(turn: Turn) -> Result<(), Failure> {
        let model = turn.config("model")?.unwrap_or_else(|| "default".to_owned());
        let directory = turn.config("directory")?.unwrap_or_else(|| DIRECTORY.to_owned());
        let directory = Path::new(&directory);
        let mut toolbox = Toolbox::new(directory);
        // A model that is shown a tool tries it, and then tries it in another way.
        if directory.is_dir() {
            toolbox = toolbox.files();
        }
        if turn.has("shell") {
            toolbox = toolbox.shell();
        }
        let mut agent = Agent::new(model, toolbox).system(system_prompt(directory)?);
        if let Some(steps) = turn.config::<i64>("max_steps")? {
            agent = agent.max_steps(u32::try_from(steps)?);
        }
        match agent.run(&turn)? {
            Ended::Answered => Ok(()),
            Ended::Length => {
                Err(Failure::new("the model's answer was cut: it ran into the limit of tokens"))
            }
            Ended::ContentFilter => {
                Err(Failure::new("the model's provider withheld the rest of its answer"))
            }
            Ended::Other(reason) => Err(Failure::new(format!("the model stopped: {reason}"))),
        }
    }
}

fn system_prompt(directory: &Path) -> Result<String, Failure> {
    let mut prompt = PROMPT.to_owned();
    if !directory.is_dir() {
        prompt
            .push_str("\nYou were not given a directory, so you cannot see or change any file.\n");
        return Ok(prompt);
    }
    prompt.push_str(&format!("\nYour directory is `{}`.\n", directory.display()));
    if let Some(instructions) = instructions(directory)? {
        prompt.push_str(&format!(
            "\nThis is its `{INSTRUCTIONS}`, which says how its owners want it done:\n\n{instructions}\n"
        ));
    }
    Ok(prompt)
}

/// What the directory's owners say, if they do; the beginning, where it is long.
fn instructions(directory: &Path) -> Result<Option<String>, Failure> {
    let file = match File::open(directory.join(INSTRUCTIONS)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(Failure::new(format!("`{INSTRUCTIONS}` cannot be read: {error}")));
        }
    };
    let mut bytes = Vec::new();
    file.take(MAX_INSTRUCTIONS_BYTES).read_to_end(&mut bytes)?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}
