//! Where components are compiled: in this process, or in a helper with limits of its own.

use std::{
    ffi::OsString,
    io,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    process::{Child, Command},
    task::JoinError,
};
use wasmtime::Engine;
use worker_types::Limits;

use super::{
    Artifact, Compatibility,
    helper::{EXIT_OTHER_VERSION, EXIT_OUT_OF_MEMORY, EXIT_REFUSED, Job},
};
#[cfg(target_os = "linux")]
use crate::launcher::{LaunchError, Launched, Launcher};
use crate::{engine::config, error_chain};

/// The most that is read of what a helper says of a failure: a reason is a line or two.
const MAX_REASON_BYTES: u64 = 4 << 10;

/// What a Rust program ends with when its main thread panicked.
const EXIT_PANIC: u8 = 101;

/// The smallest component there is: it is empty.
const EMPTY_COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

/// Bytes of a component that is larger than the memory it may take.
const LARGE_SECTION: usize = 32 << 20;

/// A component with a section that nothing is made of: what it takes is the room to read it.
fn large_component() -> Bytes {
    let mut bytes = EMPTY_COMPONENT.to_vec();
    // The section of the kind "custom", its length in LEB128, and the length of its name, which is empty.
    bytes.push(0);
    let mut length = LARGE_SECTION;
    while length >= 0x80 {
        bytes.push(0x80 | (length & 0x7f) as u8);
        length >>= 7;
    }
    bytes.push(length as u8);
    bytes.resize(bytes.len() + LARGE_SECTION, 0);
    bytes.into()
}

/// Where components are compiled.
///
/// A hostile component may take the compiler as much time and memory as it likes, or crash it.
/// Whoever takes components from strangers lets a helper process compile them.
#[derive(Debug, Clone)]
pub struct Compiler(Place);

#[derive(Debug, Clone)]
enum Place {
    InProcess,
    Helper {
        program: Arc<PathBuf>,
        arguments: Arc<[OsString]>,
    },
    #[cfg(target_os = "linux")]
    Launcher(Launcher),
}

/// Why there is no compiled component.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompileError {
    /// The component is invalid, or uses what this Runtime does not support.
    #[error("{reason}")]
    Refused {
        /// What the compiler says.
        reason: String,
    },
    /// It took too long.
    #[error(
        "compiling it took longer than the limit of {limit_ms} ms: make it smaller, or let the \
         operator raise `compile_ms`"
    )]
    TooSlow {
        /// The limit, in milliseconds.
        limit_ms: u64,
    },
    /// It took too much memory.
    #[error(
        "compiling it took more memory than the limit of {limit_bytes} bytes: make it smaller, or \
         let the operator raise `compile_memory_bytes`"
    )]
    TooMuchMemory {
        /// The limit, in bytes of address space.
        limit_bytes: u64,
    },
    /// The compiler crashed. The host did not.
    #[error("the compiler crashed on it ({status}): report the component to who made this program")]
    Crashed {
        /// How the helper process ended.
        status: String,
    },
    /// The helper's program cannot be run.
    #[error("the compile helper does not start: see that the program is installed completely")]
    NotStarted(#[source] io::Error),
    /// What starts the helpers is not there any more, or has never been.
    #[error("the launcher, which starts the compile helper, is gone: start this program anew")]
    NoLauncher(#[source] io::Error),
    /// The helper cannot be talked to.
    #[error("the pipe to the compile helper broke")]
    Pipe(#[source] io::Error),
    /// The helper ended without a word about the component.
    #[error(
        "the compile helper failed ({status}): it is another program, or the system refuses it \
         what it needs"
    )]
    HelperFailed {
        /// How the helper process ended.
        status: String,
    },
    /// The helper's program is not the one that is running here.
    #[error("the compile helper is of another version: start this program anew")]
    OtherVersion,
    /// A task of the compiler's did not come to its end.
    #[error("the compiler gave up")]
    GaveUp(#[source] JoinError),
}

impl CompileError {
    /// Whether it is the component that is to be changed, and not the host.
    #[must_use]
    pub const fn is_of_component(&self) -> bool {
        match self {
            Self::Refused { .. }
            | Self::TooSlow { .. }
            | Self::TooMuchMemory { .. }
            | Self::Crashed { .. } => true,
            Self::NotStarted(_)
            | Self::NoLauncher(_)
            | Self::Pipe(_)
            | Self::HelperFailed { .. }
            | Self::OtherVersion
            | Self::GaveUp(_) => false,
        }
    }

    /// Whether the same component may compile later: on a machine that has more time and memory to
    /// spare, or after an operator has mended something.
    pub(in crate::engine) const fn may_pass(&self) -> bool {
        !matches!(self, Self::Refused { .. })
    }
}

impl Compiler {
    /// Compiles on a thread of this process: for an embedder who trusts its components, as far as
    /// the compiler is concerned. Nothing but their size is limited.
    #[must_use]
    pub fn in_process() -> Self {
        Self(Place::InProcess)
    }

    /// Compiles in a process of `program` for each component. The program is started with
    /// `arguments` and some that this library adds after them, and hands those to
    /// [`compile_helper`](crate::compile_helper). It gets no environment, and of what this process
    /// opened nothing but its standard streams; it is killed when it takes longer than
    /// [`compile_ms`](Limits::compile_ms), or when nobody waits for it any more.
    ///
    /// The program must be this very version. Often it is the embedder's own
    /// ([`std::env::current_exe`]) with an argument for this purpose.
    #[must_use]
    pub fn helper<A: Into<OsString>>(
        program: impl Into<PathBuf>,
        arguments: impl IntoIterator<Item = A>,
    ) -> Self {
        Self(Place::Helper {
            program: Arc::new(program.into()),
            arguments: arguments.into_iter().map(Into::into).collect(),
        })
    }

    /// Compiles in a process for each component, as [`Compiler::helper`] does, and lets `launcher`
    /// start it: for a process that is confined, and can start none itself. The program of the
    /// launcher hands the arguments of the helper to [`compile_helper`](crate::compile_helper).
    #[cfg(target_os = "linux")]
    #[must_use]
    pub fn launcher(launcher: Launcher) -> Self {
        Self(Place::Launcher(launcher))
    }

    /// Compiles an empty component, to find out whether that works here. To be called inside a
    /// tokio runtime with I/O and time.
    ///
    /// # Errors
    ///
    /// See [`CompileError`].
    pub async fn check(&self, limits: &Limits) -> Result<(), CompileError> {
        let engine = Engine::new(&config(None)).map_err(refused)?;
        self.compile(&engine, Bytes::from_static(EMPTY_COMPONENT), limits).await.map(|_| ())
    }

    /// Tries whether whatever compiles here is kept from more memory than it may have: it is given less
    /// than a component takes that is there for this, and is to fail. In this process nothing keeps it.
    ///
    /// # Errors
    ///
    /// It failed for another reason.
    pub async fn is_memory_limited(&self, limits: &Limits) -> Result<bool, CompileError> {
        let engine = Engine::new(&config(None)).map_err(refused)?;
        let little = Limits { compile_memory_bytes: LARGE_SECTION as u64 / 2, ..limits.clone() };
        match self.compile(&engine, large_component(), &little).await {
            Ok(_) => Ok(false),
            Err(CompileError::TooMuchMemory { .. }) => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Compiles `component` for `engine`. Dropping the future kills the helper.
    pub(in crate::engine) async fn compile(
        &self,
        engine: &Engine,
        component: Bytes,
        limits: &Limits,
    ) -> Result<Artifact, CompileError> {
        let bytes = match &self.0 {
            Place::InProcess => {
                let engine = engine.clone();
                let compile = move || engine.precompile_component(&component);
                let compiled = tokio::task::spawn_blocking(compile).await;
                compiled.map_err(CompileError::GaveUp)?.map_err(refused)?
            }
            Place::Helper { program, arguments } => {
                let mut command = Command::new(&**program);
                command.args(&**arguments).args(job(engine, limits).arguments());
                in_helper(start(command)?, &component, limits).await?
            }
            #[cfg(target_os = "linux")]
            Place::Launcher(launcher) => {
                let helper = launcher.compile(job(engine, limits));
                in_helper(helper.map_err(CompileError::NoLauncher)?, &component, limits).await?
            }
        };
        Ok(Artifact { bytes, code_at: 0 })
    }
}

fn job(engine: &Engine, limits: &Limits) -> Job {
    Job {
        memory_bytes: limits.compile_memory_bytes,
        cpu_seconds: limits.compile_ms.div_ceil(1_000),
        compatibility: Compatibility::of(engine).to_string(),
    }
}

fn refused(error: wasmtime::Error) -> CompileError {
    CompileError::Refused { reason: error_chain(&*error.into_boxed_dyn_error()) }
}

/// A helper that runs: killed when it is dropped.
trait Helper {
    /// Its standard input, output and error, the first time.
    fn take_pipes(
        &mut self,
    ) -> Pipes<impl AsyncWrite + Unpin, impl AsyncRead + Unpin, impl AsyncRead + Unpin>;

    /// Waits until it is no more.
    async fn wait(&mut self) -> Result<ExitStatus, CompileError>;

    /// Kills it, and waits until it is no more.
    async fn kill(&mut self) -> Result<(), CompileError>;
}

type Pipes<I, O, E> = (Option<I>, Option<O>, Option<E>);

impl Helper for Child {
    fn take_pipes(
        &mut self,
    ) -> Pipes<impl AsyncWrite + Unpin, impl AsyncRead + Unpin, impl AsyncRead + Unpin> {
        (self.stdin.take(), self.stdout.take(), self.stderr.take())
    }

    async fn wait(&mut self) -> Result<ExitStatus, CompileError> {
        Child::wait(self).await.map_err(CompileError::Pipe)
    }

    async fn kill(&mut self) -> Result<(), CompileError> {
        Child::kill(self).await.map_err(CompileError::Pipe)
    }
}

#[cfg(target_os = "linux")]
impl Helper for Launched {
    fn take_pipes(
        &mut self,
    ) -> Pipes<impl AsyncWrite + Unpin, impl AsyncRead + Unpin, impl AsyncRead + Unpin> {
        (self.stdin.take(), self.stdout.take(), self.stderr.take())
    }

    async fn wait(&mut self) -> Result<ExitStatus, CompileError> {
        Launched::wait(self).await.map_err(not_launched)
    }

    async fn kill(&mut self) -> Result<(), CompileError> {
        Launched::kill(self).await.map_err(not_launched)
    }
}

#[cfg(target_os = "linux")]
fn not_launched(error: LaunchError) -> CompileError {
    match error {
        LaunchError::NotStarted(error) => CompileError::NotStarted(error),
        LaunchError::NoLauncher(error) => CompileError::NoLauncher(error),
    }
}

/// Starts the helper that `command` says.
fn start(mut command: Command) -> Result<Child, CompileError> {
    command
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(CompileError::NotStarted)
}

/// Lets `helper` compile.
async fn in_helper(
    mut helper: impl Helper,
    component: &[u8],
    limits: &Limits,
) -> Result<Vec<u8>, CompileError> {
    let time = Duration::from_millis(limits.compile_ms);
    let Ok(ended) = tokio::time::timeout(time, converse(&mut helper, component, limits)).await
    else {
        // It is killed and waited for: once the error is there, the process is not.
        helper.kill().await?;
        return Err(CompileError::TooSlow { limit_ms: limits.compile_ms });
    };
    let Ended { status, code, said } = ended?;
    if !status.success() {
        return Err(failure(status, &said, limits));
    }
    if code.len() as u64 > limits.compile_memory_bytes {
        return Err(CompileError::TooMuchMemory { limit_bytes: limits.compile_memory_bytes });
    }
    Ok(code)
}

/// A helper that is no more, and what it left.
struct Ended {
    status: ExitStatus,
    code: Vec<u8>,
    said: Vec<u8>,
}

/// Gives the helper the component, and takes what it writes, until it ends.
async fn converse(
    helper: &mut impl Helper,
    component: &[u8],
    limits: &Limits,
) -> Result<Ended, CompileError> {
    let (stdin, stdout, stderr) = helper.take_pipes();
    let feed = async {
        if let Some(mut stdin) = stdin {
            // A helper that ends before it has read everything says why by how it ends.
            let _ = stdin.write_all(component).await;
        }
    };
    // It can hold no more code than it may have memory.
    let code = read_at_most(stdout, limits.compile_memory_bytes.saturating_add(1));
    let said = read_at_most(stderr, MAX_REASON_BYTES);
    let ((), code, said) = tokio::join!(feed, code, said);
    let (code, said) = (code.map_err(CompileError::Pipe)?, said.map_err(CompileError::Pipe)?);
    Ok(Ended { code, said, status: helper.wait().await? })
}

/// Reads up to `limit` bytes and closes the pipe: whoever writes more gets an error.
async fn read_at_most(pipe: Option<impl AsyncRead + Unpin>, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        pipe.take(limit).read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
}

/// Why a helper ended without success.
fn failure(status: ExitStatus, said: &[u8], limits: &Limits) -> CompileError {
    let too_much_memory = CompileError::TooMuchMemory { limit_bytes: limits.compile_memory_bytes };
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    match code {
        Some(EXIT_REFUSED) => {
            let reason = String::from_utf8_lossy(said).trim().to_owned();
            return CompileError::Refused { reason };
        }
        Some(EXIT_OUT_OF_MEMORY) => return too_much_memory,
        Some(EXIT_OTHER_VERSION) => return CompileError::OtherVersion,
        _ => {}
    }
    if ran_out_of_time(status) {
        return CompileError::TooSlow { limit_ms: limits.compile_ms };
    }
    // What Rust's standard library says before it aborts.
    if said.starts_with(b"memory allocation of ") {
        return too_much_memory;
    }
    // It may name places in the sources, so it is for who debugs this and not for who sent the
    // component.
    let said = String::from_utf8_lossy(said);
    tracing::debug!(%status, %said, "the compile helper failed");
    let status = status.to_string();
    match code {
        None | Some(EXIT_PANIC) => CompileError::Crashed { status },
        Some(_) => CompileError::HelperFailed { status },
    }
}

/// Whether the kernel ended it because it computed for too long.
#[cfg(unix)]
fn ran_out_of_time(status: ExitStatus) -> bool {
    use std::os::unix::process::ExitStatusExt as _;

    status.signal() == Some(rustix::process::Signal::XCPU.as_raw())
}

#[cfg(not(unix))]
fn ran_out_of_time(_status: ExitStatus) -> bool {
    false
}
