//! `yoi password`: what browsers sign in to the Backend of a data directory with.

use std::{
    io::{self, BufRead as _, IsTerminal as _, Read as _},
    path::Path,
};

use anyhow::Context as _;
#[cfg(unix)]
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use yoi_config::Config;
use yoi_workspace_server::{Password, PasswordFile};

use crate::{
    cli::PasswordCommand, commands::token::own_dir, exit::Exit, output::Output, signals::EndSignals,
};

/// The hash of the password in a data directory.
const PASSWORD: &str = "password";

/// The longest line that is read: more than any password has.
const MOST_LINE_BYTES: u64 = 8 << 10;

/// The file of the password of the Backend in `data_dir`.
pub(super) fn password_file(data_dir: &Path) -> PasswordFile {
    PasswordFile::new(data_dir.join(PASSWORD))
}

pub(super) async fn run(
    command: PasswordCommand,
    config: &Config,
    output: Output,
) -> anyhow::Result<Exit> {
    match command {
        PasswordCommand::Set { data_dir } => {
            let Some(password) = read(output).await? else { return Ok(Exit::Interrupted) };
            // First of all: what is refused leaves no directory behind either.
            password.check()?;
            let file = password_file(&own_dir(&data_dir, config, "password set")?);
            file.set(&password).context("failed to keep it")?;
            output.note("the password is set, and every browser is signed out");
        }
        PasswordCommand::Rm { data_dir } => {
            let file = password_file(&own_dir(&data_dir, config, "password rm")?);
            anyhow::ensure!(file.remove()?, "there is no password");
            output.note("the password is removed, and every browser is signed out");
        }
    }
    Ok(Exit::Done)
}

/// The password, as it is typed twice, or from whoever is at the other end of standard input; nothing where
/// somebody interrupts it.
async fn read(output: Output) -> anyhow::Result<Option<Password>> {
    if !io::stdin().is_terminal() {
        let line =
            read_line()?.context("standard input is empty: expected the password in a line")?;
        return Ok(Some(Password::typed(line)));
    }
    // Before the terminal is changed, which is changed back then.
    let mut signals = EndSignals::listen()?;
    let _hidden = Hidden::hide().context("failed to keep the terminal from showing it")?;
    let mut typed = async |question| {
        output.note(question);
        tokio::select! {
            line = tokio::task::spawn_blocking(read_line) => {
                let line = line??.context("nothing was typed: nothing was changed")?;
                anyhow::Ok(Some(Password::typed(line)))
            }
            () = signals.next() => Ok(None),
        }
    };
    let Some(once) = typed("the new password, which is not shown:").await? else { return Ok(None) };
    let Some(twice) = typed("once more:").await? else { return Ok(None) };
    anyhow::ensure!(once == twice, "the two are not the same: nothing was changed");
    Ok(Some(once))
}

/// The next line of standard input, without its end; nothing at the end of it all.
fn read_line() -> anyhow::Result<Option<String>> {
    let mut line = String::new();
    let read = io::stdin().lock().take(MOST_LINE_BYTES).read_line(&mut line);
    if read.context("failed to read the password as text")? == 0 {
        return Ok(None);
    }
    let text = line.strip_suffix('\n').map(|text| text.strip_suffix('\r').unwrap_or(text));
    Ok(Some(text.unwrap_or(&line).to_owned()))
}

/// A terminal that does not show what is typed, until this goes.
#[cfg(unix)]
struct Hidden(Termios);

#[cfg(unix)]
impl Hidden {
    fn hide() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut without = before.clone();
        without.local_modes.remove(LocalModes::ECHO);
        // The end of the line is shown, or the next question would stand beside this one.
        without.local_modes.insert(LocalModes::ECHONL);
        tcsetattr(io::stdin(), OptionalActions::Flush, &without)?;
        Ok(Self(before))
    }
}

#[cfg(unix)]
impl Drop for Hidden {
    fn drop(&mut self) {
        if let Err(error) = tcsetattr(io::stdin(), OptionalActions::Now, &self.0) {
            tracing::error!(%error, "the terminal goes on hiding what is typed: `stty echo` mends it");
        }
    }
}

/// Where we know no way to hide it.
#[cfg(not(unix))]
struct Hidden;

#[cfg(not(unix))]
impl Hidden {
    fn hide() -> io::Result<Self> {
        Err(io::Error::other("give the password on standard input instead"))
    }
}
