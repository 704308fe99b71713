//! A host that is killed again and again, and what must be left of what it acknowledged.
//!
//! A child process runs a Runtime over a store on disk and a random workload. It tells, line by line
//! and before it does anything else, each request it sends and each answer it gets ([`record`]). It
//! is killed, at random times and at the failpoints of the Runtime ([`driver`]), and started again
//! on the same directory. Each life begins by showing what is there, and that is compared with what
//! was acknowledged before ([`checker`]).

pub mod checker;
#[cfg(feature = "failpoints")]
pub mod child;
pub mod driver;
pub mod history;
pub mod perform;
pub mod random;
pub mod record;
pub mod show;
mod tally;
#[cfg(test)]
mod tests;
#[cfg(feature = "failpoints")]
mod workload;
