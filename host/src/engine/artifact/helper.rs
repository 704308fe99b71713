//! The inside of the compile helper: a process that reads a component from its standard input and
//! writes machine code to its standard output, within limits that it sets on itself.

use std::{
    ffi::OsString,
    io::{self, Read as _, Write as _},
    process::ExitCode,
};

use serde::{Deserialize, Serialize};
use wasmtime::{Engine, OutOfMemory};

use super::Compatibility;
use crate::{engine::config, error_chain};

/// The component does not compile; standard error says why. This and the others are the numbers of
/// `sysexits.h`, which neither a shell, a loader nor a panic uses.
pub(super) const EXIT_REFUSED: u8 = 65;
/// There is not enough memory for the component.
pub(super) const EXIT_OUT_OF_MEMORY: u8 = 71;
/// The helper compiles for another wasmtime, configuration or processor than was asked for.
pub(super) const EXIT_OTHER_VERSION: u8 = 78;
/// The command line makes no sense.
const EXIT_USAGE: u8 = 64;
/// The helper could not set its limits, or could not read or write.
const EXIT_SYSTEM: u8 = 74;

/// What the helper is told on its command line. It has no environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Job {
    /// The most address space it may have, in bytes.
    pub(super) memory_bytes: u64,
    /// The longest it may compute, in seconds.
    pub(super) cpu_seconds: u64,
    /// The [`Compatibility`] to compile for.
    pub(super) compatibility: String,
}

impl Job {
    pub(super) fn arguments(self) -> [String; 3] {
        [self.memory_bytes.to_string(), self.cpu_seconds.to_string(), self.compatibility]
    }

    /// The arguments for a helper that is to die with `launcher`, the process that starts it; `None`
    /// if no compiler asks for this: whoever sent it wants something else of the command line.
    #[cfg(target_os = "linux")]
    pub(crate) fn launched_by(self, launcher: u32) -> Option<impl Iterator<Item = String>> {
        let is_compatibility = !self.compatibility.is_empty()
            && self.compatibility.bytes().all(|byte| byte.is_ascii_hexdigit());
        let launcher = launcher.to_string();
        is_compatibility.then(|| self.arguments().into_iter().chain([launcher]))
    }

    /// The job, and the process to die with, if there is one.
    fn parse(arguments: impl IntoIterator<Item = OsString>) -> Option<(Self, Option<i32>)> {
        let mut arguments = arguments.into_iter().map(|argument| argument.into_string().ok());
        let job = Self {
            memory_bytes: arguments.next()??.parse().ok()?,
            cpu_seconds: arguments.next()??.parse().ok()?,
            compatibility: arguments.next()??,
        };
        let launcher = match arguments.next() {
            Some(launcher) => Some(launcher?.parse().ok()?),
            None => None,
        };
        arguments.next().is_none().then_some((job, launcher))
    }
}

/// Compiles one component, as [`Compiler::helper`](crate::Compiler::helper) asks a program to:
/// `arguments` are what it added to the command line. The program ends with what this returns.
///
/// To be called first thing, before there are threads: before it reads a byte, it limits the
/// address space and processor time of the whole process, and forbids core dumps. It takes from it,
/// where the kernel has Landlock, all files, connections and other processes. It does so on
/// Linux; elsewhere only the time that the host waits is bounded.
#[must_use]
pub fn compile_helper(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    match compile(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Whoever started this reads it, or is gone.
            let _ = writeln!(io::stderr(), "{}", error_chain(&error));
            ExitCode::from(error.exit_code())
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum HelperError {
    #[error("this is how a Runtime starts its compiler; there is nothing here for people")]
    Usage,
    #[error("failed to limit what the compiler may use")]
    Limits(#[source] io::Error),
    #[error("the compiler cannot be set up")]
    Engine(#[source] wasmtime::Error),
    #[error("the compiler is one for another version of this program, or for another machine")]
    OtherVersion,
    #[error("failed to read the component")]
    Read(#[source] io::Error),
    /// Its causes alone are the reason, which the host puts into words of its own.
    #[error(transparent)]
    Refused(Box<dyn std::error::Error + Send + Sync>),
    #[error("there is not enough memory")]
    OutOfMemory,
    #[error("failed to write the compiled component")]
    Write(#[source] io::Error),
}

impl HelperError {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Usage => EXIT_USAGE,
            Self::Refused(_) => EXIT_REFUSED,
            Self::OutOfMemory => EXIT_OUT_OF_MEMORY,
            Self::OtherVersion => EXIT_OTHER_VERSION,
            Self::Limits(_) | Self::Engine(_) | Self::Read(_) | Self::Write(_) => EXIT_SYSTEM,
        }
    }
}

fn compile(arguments: impl IntoIterator<Item = OsString>) -> Result<(), HelperError> {
    let (job, launcher) = Job::parse(arguments).ok_or(HelperError::Usage)?;
    if let Some(launcher) = launcher {
        die_with(launcher).map_err(HelperError::Limits)?;
    }
    confine(&job).map_err(HelperError::Limits)?;

    let mut config = config(None);
    // The C library gives each thread an arena of 64 MiB of addresses: on a machine with many cores
    // they alone would use up the limit. The host compiles several components at once instead.
    config.parallel_compilation(false);
    let engine = Engine::new(&config).map_err(HelperError::Engine)?;
    if Compatibility::of(&engine).to_string() != job.compatibility {
        return Err(HelperError::OtherVersion);
    }

    let mut component = Vec::new();
    io::stdin().lock().read_to_end(&mut component).map_err(|error| match error.kind() {
        io::ErrorKind::OutOfMemory => HelperError::OutOfMemory,
        _ => HelperError::Read(error),
    })?;
    let code = engine.precompile_component(&component).map_err(|error| {
        if error.is::<OutOfMemory>() {
            HelperError::OutOfMemory
        } else {
            HelperError::Refused(error.into_boxed_dyn_error())
        }
    })?;
    let mut stdout = io::stdout().lock();
    stdout.write_all(&code).and_then(|()| stdout.flush()).map_err(HelperError::Write)
}

#[cfg(target_os = "linux")]
fn confine(job: &Job) -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let limit = |resource, soft: u64, hard: u64| {
        // What the process was given at most cannot be raised.
        let most = getrlimit(resource).maximum.unwrap_or(u64::MAX);
        let rlimit = Rlimit { current: Some(soft.min(most)), maximum: Some(hard.min(most)) };
        setrlimit(resource, rlimit)
    };
    limit(Resource::Core, 0, 0)?;
    limit(Resource::As, job.memory_bytes, job.memory_bytes)?;
    // The host kills the helper when its time is up. This is for when the host is gone, and with
    // a soft limit below the hard one the signal says what it was.
    limit(Resource::Cpu, job.cpu_seconds, job.cpu_seconds.saturating_add(1))?;
    // What it needs is open. Where the kernel cannot do it, the Runtime's process is not confined
    // either, and says so.
    let _ = crate::confinement::deny_everything();
    Ok(())
}

/// Ends this process once `launcher`, which started it, is no more.
#[cfg(target_os = "linux")]
fn die_with(launcher: i32) -> io::Result<()> {
    use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

    set_parent_process_death_signal(Some(Signal::KILL))?;
    // It may have died before.
    if getppid().map(Pid::as_raw_pid) == Some(launcher) {
        Ok(())
    } else {
        Err(io::Error::other("the launcher is gone"))
    }
}

#[cfg(not(target_os = "linux"))]
fn die_with(_launcher: i32) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(not(target_os = "linux"))]
fn confine(_job: &Job) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_survives_the_command_line_and_nothing_else_is_one() {
        let job = Job { memory_bytes: 1 << 30, cpu_seconds: 61, compatibility: "a5".into() };
        let parsed = Job::parse(job.clone().arguments().map(OsString::from));
        assert_eq!(parsed, Some((job, None)));
        let lines =
            [&[][..], &["1"], &["1", "2"], &["1", "2", "c", "d"], &["-1", "2", "c"], &["1"; 5]];
        for line in lines {
            assert_eq!(Job::parse(line.iter().map(OsString::from)), None, "{line:?}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_launched_job_names_its_launcher_and_smuggles_in_no_option() {
        let job = |compatibility: &str| Job {
            memory_bytes: 1 << 30,
            cpu_seconds: 61,
            compatibility: compatibility.to_owned(),
        };
        let arguments = job("a5").launched_by(7).expect("a job").map(OsString::from);
        assert_eq!(Job::parse(arguments), Some((job("a5"), Some(7))));
        for forged in ["", "--help", "a5 b", "/bin/sh", "g"] {
            assert!(job(forged).launched_by(7).is_none(), "{forged:?}");
        }
    }
}
