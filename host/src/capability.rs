//! What a guest can reach: one module per interface, each with its context, its view and its
//! `add_to_linker`.

pub(crate) mod bindings;
mod call_usage;
pub(crate) mod conversation;
pub(crate) mod filesystem;
pub(crate) mod ledger;
pub(crate) mod llm;
pub(crate) mod session;
pub(crate) mod shell;
pub(crate) mod stdio;

use wasmtime::component::Linker;
use wasmtime_wasi::{
    WasiView,
    cli::{WasiCli, WasiCliView},
    p2::bindings::{cli, random},
    random::WasiRandom,
};

use self::filesystem::HasFiles;
use crate::turn::TurnState;

/// Links the base interfaces of WASI, and ours.
pub(crate) fn add_to_linker(linker: &mut Linker<TurnState>) -> wasmtime::Result<()> {
    add_base_to_linker(linker)?;
    session::add_to_linker(linker)?;
    llm::add_to_linker(linker)?;
    shell::add_to_linker(linker)
}

/// Links the base interfaces of WASI.
pub(crate) fn add_base_to_linker<T: WasiView + HasFiles>(
    linker: &mut Linker<T>,
) -> wasmtime::Result<()> {
    // wasi:io, the clocks, random and the standard streams.
    wasmtime_wasi::p2::add_to_linker_proxy_interfaces_async(linker)?;
    random::insecure::add_to_linker::<_, WasiRandom>(linker, |t: &mut T| t.ctx().ctx.random())?;
    random::insecure_seed::add_to_linker::<_, WasiRandom>(linker, |t: &mut T| {
        t.ctx().ctx.random()
    })?;
    cli::environment::add_to_linker::<_, WasiCli>(linker, T::cli)?;
    cli::exit::add_to_linker::<_, WasiCli>(linker, T::cli)?;
    cli::terminal_input::add_to_linker::<_, WasiCli>(linker, T::cli)?;
    cli::terminal_output::add_to_linker::<_, WasiCli>(linker, T::cli)?;
    cli::terminal_stdin::add_to_linker::<_, WasiCli>(linker, T::cli)?;
    cli::terminal_stdout::add_to_linker::<_, WasiCli>(linker, T::cli)?;
    cli::terminal_stderr::add_to_linker::<_, WasiCli>(linker, T::cli)?;
    filesystem::add_to_linker(linker)
}
