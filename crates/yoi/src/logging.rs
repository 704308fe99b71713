//! What this process logs, and how it is written. It goes to standard error.

use std::{
    fmt,
    io::{self, IsTerminal as _},
};

use clap::ValueEnum;
use tracing::field::Field;
use tracing_subscriber::{
    EnvFilter,
    field::MakeExt as _,
    fmt::format::{Writer, debug_fn},
};

/// How lines of the log are written: for people, or each as one JSON object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum LogFormat {
    #[default]
    Text,
    Json,
}

/// What it logs as an error its caller is told, and says in words of its own.
const REPEATED: &str = "rustls_platform_verifier=off";

/// What somebody else said may be among it: no line of the log is anybody's but ours, and no terminal does what a
/// line says.
fn write_field(writer: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
    if field.name() != "message" {
        write!(writer, "{}=", field.name())?;
    }
    for character in format!("{value:?}").chars() {
        match character {
            control if control.is_control() => write!(writer, "{}", control.escape_default())?,
            other => writer.write_char(other)?,
        }
    }
    Ok(())
}

/// Logs what `RUST_LOG` says, or where it is not set, what passes `filter`.
pub(crate) fn start(format: LogFormat, filter: &str) {
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| format!("{filter},{REPEATED}").into());
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    match format {
        LogFormat::Text => {
            let fields = debug_fn(write_field).delimited(" ");
            lines.with_ansi(io::stderr().is_terminal()).fmt_fields(fields).init();
        }
        // A turn's span has all there is to know of where a line comes from.
        LogFormat::Json => lines.json().with_span_list(false).init(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_else_says_stays_within_its_line_and_does_nothing_to_a_terminal() {
        #[derive(Debug, Clone, Default)]
        struct Lines(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);
        impl io::Write for Lines {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.lock().expect("a lock").write(bytes)
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let lines = Lines::default();
        let written = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || written.clone())
            .with_ansi(false)
            .fmt_fields(debug_fn(write_field).delimited(" "))
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            let error = "no\r\n2026 ERROR forged\u{1b}[31m ä";
            tracing::warn!(%error, number = 1, "said {error}");
        });
        let text = String::from_utf8(lines.0.lock().expect("a lock").clone()).expect("text");
        assert_eq!(text.lines().count(), 1, "{text:?}");
        assert!(!text.contains('\u{1b}') && text.contains("ä number=1"), "{text:?}");
    }
}
