//! A Runtime whose disk fails under it: real faults, on a process of its own.

mod cancel;
mod clock;
mod damage;
mod disk_full;
mod file_limit;
mod host;
mod io_errors;
mod ownership;
mod restart;
mod shim;
mod visitors;
