//! What the HTTP servers of yoi share: the Backend, and the Runtime process.
//!
//! Errors have one form ([`Problem`]), bodies and queries are read strictly ([`ApiJson`], [`ApiQuery`]),
//! connections are bounded ([`serve`]) and encrypted ([`ServerTls`]), events are streamed in one way
//! ([`EventStreams`]), tokens are kept as digests ([`Secret`]), what is kept for its owner alone is a
//! [`PrivateFile`], and an API describes itself in the same words ([`openapi`]). Who may do what is each
//! server's own.

mod answer;
mod extract;
pub mod openapi;
mod own_host;
mod private_file;
mod problem;
mod requests;
mod seats;
mod secret;
mod serve;
mod shares;
mod sse;
mod tls;

pub use answer::finish_response;
pub use extract::{
    ApiJson, ApiPath, ApiQuery, BODY_LIMIT_BYTES, CallerName, Keyed, OptionalJson, let_in,
    let_in_within, read_body, read_secret_json,
};
pub use own_host::OwnAddress;
pub use private_file::{FileStamp, PrivateFile, PrivateFileError};
pub use problem::{Problem, ProblemCode};
pub use requests::{
    CancelBody, EventsQuery, InputBody, LogQuery, RevokeBody, TurnResult, TurnView, UpgradeBody,
    UsageQuery, WaitQuery, WorkerFilter,
};
pub use secret::{Secret, SecretDigest, bearer_token};
pub use serve::{Peer, ServeOptions, serve};
pub use shares::{NoShare, Share, Shares};
pub use sse::{
    EventStreams, SseEvent, live_message, message, place_after, problem_message, vary_by_accept,
    wants_stream,
};
pub use tls::{InvalidTls, ServerTls, fingerprint};
