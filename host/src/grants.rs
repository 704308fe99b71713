//! Directories behind grants: the roots that an operator named, and what a turn opens of them.
//!
//! Authority is data ([`worker_types::Grants`]), and its order is in `worker-types`. Here it meets the
//! disk. Every directory is a handle: a path is resolved below a handle and nowhere else, and host
//! paths stay in this module.

pub(crate) mod git_directory;
mod location;
mod preopens;
mod roots;
mod scratch;
#[cfg(test)]
mod tests;

pub(crate) use location::{Extent, Location};
pub(crate) use preopens::{OpenPreopen, PreopenError, PreopenFault, Scope};
pub use roots::Root;
pub(crate) use roots::Roots;
pub(crate) use scratch::{ENTRY_BYTES, Scratch, ScratchDirectories, Tree};
