//! A Runtime whose disk fails under it: real faults, on a process of its own.

mod cancel;
mod damage;
mod disk_full;
mod host;
mod io_errors;
mod ownership;
mod restart;
mod shim;
