//! What stands before every handler: whose request this is, and what is written down of it.

use std::time::Instant;

use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, Method, header};
use http_api::{CallerName, Peer, Problem, ProblemCode, bearer_token};
use jiff::Timestamp;
use worker_types::RuntimeError;

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
    let token = match token(request.headers()) {
        Ok(token) => state.tokens.find(token, Timestamp::now()),
        Err(reason) => return unauthorized(reason).into_response(),
    };
    let Some(token) = token else {
        let peer = request.extensions().get::<Peer>().map(|Peer(peer)| peer.ip());
        let wait = peer.and_then(|peer| state.failures.count(peer, Instant::now()));
        return match wait {
            None => {
                tracing::warn!(target: "audit", ?peer, "a token was refused");
                unauthorized("the bearer token is none of this Runtime, or has expired")
            }
            Some(wait) => Problem::TooManyRequests { retry_after_s: wait.as_secs().max(1) },
        }
        .into_response();
    };
    let command = (!request.method().is_safe()).then(|| Command::of(&request));
    request.extensions_mut().insert(CallerName(token.id.to_string().into()));
    request.extensions_mut().insert(Caller(token.clone()));
    let response = next.run(request).await;
    if let Some(command) = command {
        command.write_down(token.id.as_str(), &response);
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

/// A request that changes something.
struct Command {
    method: Method,
    /// The route, not the path: that may hold anything.
    route: String,
    worker: Option<String>,
}

impl Command {
    fn of(request: &Request) -> Self {
        let route = request.extensions().get::<MatchedPath>();
        let route = route.map_or("none", MatchedPath::as_str).to_owned();
        let mut path = request.uri().path().split('/').skip_while(|name| *name != "workers");
        let worker = path.nth(1).and_then(|id| id.parse::<worker_types::WorkerId>().ok());
        Self { method: request.method().clone(), route, worker: worker.map(|id| id.to_string()) }
    }

    /// Who did what to which Worker, and what came of it: one line for each command.
    fn write_down(self, token: &str, response: &Response) {
        let created = || {
            let location = response.headers().get(header::LOCATION)?.to_str().ok()?;
            location.rsplit('/').next().map(str::to_owned)
        };
        let worker = self.worker.or_else(created);
        let code =
            response.extensions().get::<ProblemCode>().map_or("ok", |ProblemCode(code)| code);
        tracing::info!(
            target: "audit",
            token,
            method = %self.method,
            route = self.route,
            worker,
            status = response.status().as_u16(),
            outcome = code,
            "a command"
        );
    }
}
