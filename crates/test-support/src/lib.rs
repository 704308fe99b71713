//! What every host of Workers is tested with.
//!
//! - [`operations`]: what can be asked of a host, wherever it is.
//! - [`conformance`]: what every host does alike, as tests over those operations.
//! - [`invariants`]: what holds of every log, whatever happened to it.
//! - [`embedded`]: the Runtime of this process as a host.
//! - [`crash`]: a host that is killed again and again, and what must be left.
//! - [`remote`]: a Runtime in a process of its own, behind HTTP, as a host.
//! - [`serve`]: a host in a process of its own, for tests that break what it stands on.

pub mod conformance;
pub mod crash;
pub mod embedded;
pub mod invariants;
pub mod operations;
pub mod remote;
pub mod serve;
