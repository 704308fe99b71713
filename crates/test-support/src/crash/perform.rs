//! Asking a Runtime for what the workload wants.

use worker_runtime::Runtime;
use worker_types::{CreateWorker, IdempotencyKey, Input, InputOptions, ProfileName, RuntimeError};

use super::record::{LANE, Reply, Request, TOKEN, WITH_INPUT, input_parts};

/// Asks for it, and returns the answer.
pub async fn perform(runtime: &Runtime, request: Request) -> Reply {
    let done = |answer: Result<(), _>| answer.map(|()| Reply::Done);
    let answer = match request {
        Request::Create { token, lane, resume, text, keyed } => {
            create(runtime, (&token, lane, resume), text.as_deref(), keyed).await
        }
        Request::Input { worker_id, token, text, if_busy, keyed } => {
            let mut options = InputOptions::if_busy(if_busy);
            options.idempotency_key = key(&token, keyed);
            let input = Input { parts: input_parts(&text, &token) };
            runtime.input(worker_id, input, options).await.map(Reply::Accepted)
        }
        Request::Cancel { worker_id, turn_id } => done(runtime.cancel(worker_id, turn_id).await),
        Request::Stop { worker_id } => done(runtime.stop(worker_id).await),
        Request::Start { worker_id } => done(runtime.start(worker_id).await),
        Request::Delete { worker_id } => done(runtime.delete(worker_id).await),
    };
    answer.unwrap_or_else(Reply::Refused)
}

async fn create(
    runtime: &Runtime,
    (token, lane, resume): (&str, u64, bool),
    text: Option<&str>,
    keyed: bool,
) -> Result<Reply, RuntimeError> {
    let profile: Option<ProfileName> = if resume { "resumable" } else { "base" }.parse().ok();
    let mut create = CreateWorker { profile, ..CreateWorker::default() }
        .label(TOKEN, token)
        .label(LANE, lane.to_string())
        .label(WITH_INPUT, text.is_some().to_string());
    create.input = text.map(|text| Input { parts: input_parts(text, token) });
    create.idempotency_key = key(token, keyed);
    Ok(Reply::Created(runtime.create(create).await?.worker_id))
}

fn key(token: &str, keyed: bool) -> Option<IdempotencyKey> {
    keyed.then(|| IdempotencyKey::new(token).ok()).flatten()
}
