//! The Runtime with real guests.

#[cfg(unix)]
mod attacks;
mod authority;
mod compile_once;
mod component_cache;
mod components;
#[cfg(feature = "sqlite")]
mod damage;
mod drain;
mod events;
mod files;
mod grants;
mod harness;
#[cfg(target_os = "linux")]
mod launcher;
mod lifecycle;
mod limits;
mod malformed;
mod models;
#[cfg(feature = "sqlite")]
mod restart;
#[cfg(all(unix, feature = "sqlite"))]
mod scope_processes;
#[cfg(unix)]
mod scopes;
mod shell;
#[cfg(unix)]
mod shell_attacks;
