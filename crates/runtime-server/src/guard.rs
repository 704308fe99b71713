//! What stands before every handler: whose request this is, and what is written down of it.

use std::{net::IpAddr, time::Instant};

use axum::{
    RequestExt as _,
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, Method, header};
use http_api::{ApiPath, Peer, Problem, ProblemCode, bearer_token, let_in_within};
use jiff::Timestamp;
use serde::Deserialize;
use worker_types::{ComponentDigest, RuntimeError, WorkerId};

use crate::{access::Caller, server::ServerState};

/// Refuses requests that were meant for another server, or that a page in a browser made: no page is served
/// here, so none has a reason to.
pub(crate) async fn check_origin(
    State(state): State<ServerState>,
    request: Request,
    next: Next,
) -> Response {
    let headers = request.headers();
    let checked = state.own_address.check(headers, request.uri().authority());
    let checked = checked.map_err(|_| {
        Problem::forbidden(
            "the Host header names another server than this one; `names` below [server] says what else this \
             one is called by",
        )
    });
    let checked = checked.and_then(|()| match headers.get(header::ORIGIN) {
        None => Ok(()),
        Some(_) => Err(Problem::forbidden("a page in a browser made the request")),
    });
    match checked {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

/// Lets in who has a token, and writes down what they command.
pub(crate) async fn admit(
    State(state): State<ServerState>,
    mut request: Request,
    next: Next,
) -> Response {
    let peer = request.extensions().get::<Peer>().map(|Peer(peer)| peer.ip());
    let token = match token(request.headers()) {
        Ok(token) => token,
        Err(reason) => {
            state.failures.note();
            return unauthorized(reason).into_response();
        }
    };
    let token = match state.tokens.find(token, Timestamp::now()).await {
        Ok(token) => token,
        // Nobody has shown a wrong token: it is not known which are right.
        Err(unusable) => return Problem::from(RuntimeError::from(unusable)).into_response(),
    };
    let Some(token) = token else {
        state.failures.note();
        let wait = peer.and_then(|peer| state.failures.count(peer, Instant::now()));
        return match wait {
            None => {
                tracing::warn!(target: "audit", peer = peer.map(tracing::field::display), "a token was refused");
                unauthorized("the bearer token is none of this Runtime, or has expired")
            }
            Some(wait) => Problem::TooManyRequests { retry_after_s: wait.as_secs().max(1) },
        }
        .into_response();
    };
    let command = match request.method().is_safe() {
        true => None,
        false => Some(Command::of(&mut request, token.id.to_string(), peer).await),
    };
    let caller = Caller(token);
    let response = match let_in_within(&state.connections, &mut request, caller.name()) {
        Ok(()) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(refused) => Problem::from(refused).into_response(),
    };
    if let Some(command) = command {
        command.answered(&response);
    }
    response
}

fn token(headers: &HeaderMap) -> Result<&str, &'static str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err("send one token, as `authorization: Bearer …`");
    };
    let token = value.to_str().ok().and_then(bearer_token);
    token.ok_or("send the token as `authorization: Bearer …`")
}

fn unauthorized(reason: &str) -> Problem {
    RuntimeError::Unauthorized { reason: reason.to_owned() }.into()
}

#[derive(Default, Deserialize)]
struct Named {
    worker_id: Option<WorkerId>,
    digest: Option<ComponentDigest>,
}

/// The component that a request was about, in the extensions of its answer, where its path does not name it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeptDigest(pub(crate) ComponentDigest);

/// A request that changes something. What came of it is written down once, also where its client goes away
/// before it is answered: it may have been carried out all the same.
struct Command {
    token: String,
    /// Where the client is, or what stands before it.
    peer: Option<IpAddr>,
    method: String,
    /// The route, not the path: that may hold anything.
    route: String,
    worker: Option<String>,
    /// The component that is kept or removed.
    component: Option<ComponentDigest>,
    /// The status and the code of the answer.
    answer: Option<(u16, &'static str)>,
}

impl Command {
    async fn of(request: &mut Request, token: String, peer: Option<IpAddr>) -> Self {
        let route = request.extensions().get::<MatchedPath>();
        let route = route.map_or("none", MatchedPath::as_str).to_owned();
        // As the handler reads it.
        let ApiPath(Named { worker_id, digest: component }) =
            request.extract_parts().await.unwrap_or(ApiPath(Named::default()));
        let worker = worker_id.map(|id| id.to_string());
        let method = request.method();
        // Any word may stand there, of any length.
        let is_known = [Method::POST, Method::PUT, Method::PATCH, Method::DELETE].contains(method);
        let method = if is_known { method.to_string() } else { "other".to_owned() };
        Self { token, peer, method, route, worker, component, answer: None }
    }

    fn answered(mut self, response: &Response) {
        let created = || {
            let location = response.headers().get(header::LOCATION)?.to_str().ok()?;
            location.rsplit('/').next().map(str::to_owned)
        };
        self.worker = self.worker.take().or_else(created);
        let kept = || response.extensions().get().map(|KeptDigest(digest)| *digest);
        self.component = self.component.or_else(kept);
        let code = response.extensions().get::<ProblemCode>();
        let code = code.map_or("ok", |ProblemCode(code)| code);
        self.answer = Some((response.status().as_u16(), code));
    }
}

impl Drop for Command {
    /// Who did what to which Worker, and what came of it.
    fn drop(&mut self) {
        let (status, outcome) = self.answer.unzip();
        tracing::info!(
            target: "audit",
            token = self.token,
            peer = self.peer.map(tracing::field::display),
            method = self.method,
            route = self.route,
            worker = self.worker,
            component = self.component.map(tracing::field::display),
            status,
            outcome = outcome.unwrap_or("not awaited"),
            "a command"
        );
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{self, Read as _},
        sync::Arc,
    };

    use super::*;

    const WORKER: &str = "01a229fe-e583-723b-ae89-303fad1dcc78";

    /// What is written down of a command that is answered so.
    fn written(answer: Option<Response>) -> String {
        let (mut log, writer) = io::pipe().expect("a pipe");
        let subscriber =
            tracing_subscriber::fmt().with_ansi(false).with_writer(Arc::new(writer)).finish();
        tracing::subscriber::with_default(subscriber, || {
            let command = Command {
                token: "t-1".to_owned(),
                peer: Some(IpAddr::from([192, 0, 2, 7])),
                method: "POST".to_owned(),
                route: "/v1/workers/{worker_id}/input".to_owned(),
                worker: Some(WORKER.to_owned()),
                component: None,
                answer: None,
            };
            if let Some(answer) = answer {
                command.answered(&answer);
            }
        });
        let mut text = String::new();
        log.read_to_string(&mut text).expect("text");
        text
    }

    #[test]
    fn a_command_is_written_down_once_whatever_becomes_of_its_client() {
        let refused = Problem::forbidden("no").into_response();
        for (answer, outcome) in [
            (Some(Response::default()), "outcome=\"ok\""),
            (Some(refused), "outcome=\"forbidden\""),
            (None, "outcome=\"not awaited\""),
        ] {
            let line = written(answer);
            assert_eq!(line.lines().count(), 1, "{line}");
            for part in ["audit", "token=\"t-1\"", "peer=192.0.2.7", WORKER, outcome] {
                assert!(line.contains(part), "{part}: {line}");
            }
        }
    }

    #[test]
    fn a_component_that_was_kept_is_written_down_by_its_digest() {
        let digest = ComponentDigest::from_sha256([0xab; 32]);
        let mut kept = Response::default();
        kept.extensions_mut().insert(KeptDigest(digest));
        let line = written(Some(kept));
        assert!(line.contains(&format!("component={digest}")), "{line}");
    }
}
