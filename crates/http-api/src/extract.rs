//! Extractors whose rejections are problems.

use std::{borrow::Cow, collections::BTreeSet, fmt, pin::pin, sync::Arc, time::Duration};

use axum::{
    body::Bytes,
    extract::{
        FromRequest, FromRequestParts, Path, Query, Request,
        rejection::{PathRejection, QueryRejection},
    },
};
use http::{Extensions, HeaderMap, HeaderName, header, request::Parts};
use http_body_util::BodyExt as _;
use hyper::body::Body as _;
use serde::{
    Deserialize,
    de::{DeserializeOwned, Deserializer, Error as _, MapAccess, SeqAccess, Visitor},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time,
};
use worker_types::{IdempotencyKey, RuntimeError};

use crate::{Problem, Shares, seats::Seat};

/// The largest request body: an input may carry a few pictures.
pub const BODY_LIMIT_BYTES: u64 = 8 << 20;

/// How long a body may take: the largest one at a modest 300 kB a second.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

static IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// What the path names.
pub struct ApiPath<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for ApiPath<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(value) = Path::from_request_parts(parts, state)
            .await
            .map_err(|rejection: PathRejection| Problem::invalid_input(rejection.body_text()))?;
        Ok(Self(value))
    }
}

/// The query.
pub struct ApiQuery<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for ApiQuery<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Query(value) = Query::from_request_parts(parts, state)
            .await
            .map_err(|rejection: QueryRejection| Problem::invalid_input(rejection.body_text()))?;
        Ok(Self(value))
    }
}

/// What a caller goes by, of which its idempotency keys are a part, so that nobody takes another's. It is
/// put into the request by what lets the caller in, and stays the same when the server starts anew.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CallerName(pub Cow<'static, str>);

/// Lets a request in, as that of `caller`: from here on it keeps its connection, once it is there as a whole.
pub fn let_in(request: &mut Request, caller: CallerName) {
    request.extensions_mut().insert(caller);
    if request.body().is_end_stream() {
        keep_seat(request.extensions());
    }
}

/// The same, where no caller has more than a share of the `connections` of the server: the connection counts as
/// one of this caller's from here on.
///
/// # Errors
///
/// `Capacity`: the caller has as many as it may. Then the request is not let in.
pub fn let_in_within(
    connections: &Shares,
    request: &mut Request,
    caller: CallerName,
) -> Result<(), RuntimeError> {
    if let Some(seat) = request.extensions().get::<Seat>() {
        seat.belong_to(&caller, connections)?;
    }
    let_in(request, caller);
    Ok(())
}

fn keep_seat(of: &Extensions) {
    if let (Some(seat), Some(CallerName(_))) = (of.get::<Seat>(), of.get()) {
        seat.keep();
    }
}

/// What all bodies that are being read take of memory together, in KiB: several of the largest, and thousands
/// of usual ones.
const BODIES_KIB: usize = 64 << 10;

/// The room for the bodies that a server reads at once.
#[derive(Debug, Clone)]
pub(crate) struct BodyRoom(Arc<Semaphore>);

impl Default for BodyRoom {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(BODIES_KIB)))
    }
}

/// The caller's name for its request, where it gave one: the `Idempotency-Key`.
pub struct Keyed(pub Option<IdempotencyKey>);

impl<S: Send + Sync> FromRequestParts<S> for Keyed {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Some(key) = idempotency_key(&parts.headers)? else { return Ok(Self(None)) };
        // Whoever got here was let in as somebody.
        let caller = parts.extensions.get().map_or("", |CallerName(name)| name);
        Ok(Self(Some(key.of(caller))))
    }
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, Problem> {
    let mut keys = headers.get_all(&IDEMPOTENCY_KEY).iter();
    let Some(key) = keys.next() else { return Ok(None) };
    if keys.next().is_some() {
        return Err(Problem::invalid_input("the Idempotency-Key is given twice"));
    }
    // What is no text is no key either.
    let key = IdempotencyKey::new(key.to_str().unwrap_or_default());
    key.map(Some).map_err(|error| Problem::invalid_input(error.to_string()))
}

/// A JSON body.
pub struct ApiJson<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for ApiJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(Problem::UnsupportedMediaType);
        }
        let (bytes, _room) = body(request).await?;
        parse(&bytes).map(Self)
    }
}

/// A JSON body that may be absent; then it is the default.
pub struct OptionalJson<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Default> FromRequest<S> for OptionalJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let says_json = is_json(request.headers());
        let (bytes, _room) = body(request).await?;
        if bytes.is_empty() {
            return Ok(Self(T::default()));
        }
        if !says_json {
            return Err(Problem::UnsupportedMediaType);
        }
        parse(&bytes).map(Self)
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(|value| {
        let essence = value.split(';').next().unwrap_or(value).trim();
        essence.eq_ignore_ascii_case("application/json")
    })
}

/// A body of any kind, of at most `limit` bytes. One that says that it is longer is not awaited, and one that
/// comes in pieces and does not say is read no further than that.
///
/// # Errors
///
/// `PayloadTooLarge` of `what`, or `InvalidInput` where it breaks off or takes too long.
pub async fn read_body(request: Request, what: &str, limit: u64) -> Result<Bytes, Problem> {
    let times = u32::try_from(limit / BODY_LIMIT_BYTES).unwrap_or(u32::MAX).max(1);
    let time = BODY_TIMEOUT.saturating_mul(times);
    let (bytes, _) = read(request, (what, limit), time, None).await?;
    Ok(bytes.into())
}

/// A JSON body of `what`, of at most `limit` bytes. It holds a secret: a refusal repeats nothing of it.
///
/// # Errors
///
/// As [`read_body`], `UnsupportedMediaType`, or `InvalidInput` where it is not what it should be.
pub async fn read_secret_json<T: DeserializeOwned>(
    request: Request,
    what: &str,
    limit: u64,
) -> Result<T, Problem> {
    if !is_json(request.headers()) {
        return Err(Problem::UnsupportedMediaType);
    }
    let bytes = read_body(request, what, limit).await?;
    parse(&bytes).map_err(|_: Problem| Problem::invalid_input("the body is not what it should be"))
}

/// A body of the usual length, and its room while it is looked at.
async fn body(request: Request) -> Result<(Vec<u8>, Option<OwnedSemaphorePermit>), Problem> {
    let room = request.extensions().get::<BodyRoom>().cloned();
    read(request, ("the request body", BODY_LIMIT_BYTES), BODY_TIMEOUT, room).await
}

async fn read(
    request: Request,
    (what, limit): (&str, u64),
    time: Duration,
    room: Option<BodyRoom>,
) -> Result<(Vec<u8>, Option<OwnedSemaphorePermit>), Problem> {
    let (parts, body) = request.into_parts();
    let too_large = || RuntimeError::PayloadTooLarge { what: what.to_owned(), limit_bytes: limit };
    if body.size_hint().lower() > limit {
        return Err(too_large().into());
    }
    let mut body = pin!(body);
    let (mut bytes, mut taken) = (Vec::new(), None);
    let collect = async {
        while let Some(frame) = body.frame().await {
            let frame = frame
                .map_err(|_| Problem::invalid_input("the request body broke off"))?
                .into_data();
            // Trailers say nothing here.
            let Ok(piece) = frame else { continue };
            if (bytes.len() + piece.len()) as u64 > limit {
                return Err(Problem::from(too_large()));
            }
            bytes.extend_from_slice(&piece);
            if let Some(room) = &room {
                room.take(bytes.len(), &mut taken)?;
            }
        }
        Ok(())
    };
    let collected = time::timeout(time, collect).await;
    collected.map_err(|_| Problem::invalid_input("the request body did not arrive in time"))??;
    keep_seat(&parts.extensions);
    Ok((bytes, taken))
}

impl BodyRoom {
    /// Lets `taken` be the room for so many bytes.
    fn take(
        &self,
        bytes: usize,
        taken: &mut Option<OwnedSemaphorePermit>,
    ) -> Result<(), RuntimeError> {
        let has = taken.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let more = u32::try_from(bytes.div_ceil(1 << 10).saturating_sub(has)).unwrap_or(u32::MAX);
        let more = Arc::clone(&self.0).try_acquire_many_owned(more).map_err(|_| {
            let reason = "as many request bodies are on their way as this server has room for";
            RuntimeError::Capacity { reason: reason.to_owned() }
        })?;
        match taken {
            Some(taken) => taken.merge(more),
            None => *taken = Some(more),
        }
        Ok(())
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    // Serde would take its elements for the fields of an object, in an order that no document tells.
    if bytes.trim_ascii_start().starts_with(b"[") {
        return Err(Problem::invalid_input(
            "the body is an array, and not the object it should be",
        ));
    }
    serde_json::from_slice::<NoDuplicates>(bytes)
        .and_then(|NoDuplicates| serde_json::from_slice(bytes))
        .map_err(|error| {
            Problem::invalid_input(format!("the body is not what it should be: {error}"))
        })
}

/// Any JSON in which no object has a key twice. Which of two values counts would differ from one
/// reader to the next, so neither does.
struct NoDuplicates;

impl<'de> Deserialize<'de> for NoDuplicates {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NoDuplicatesVisitor)
    }
}

struct NoDuplicatesVisitor;

impl<'de> Visitor<'de> for NoDuplicatesVisitor {
    type Value = NoDuplicates;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<NoDuplicates, A::Error> {
        let mut seen = BTreeSet::new();
        while let Some(key) = map.next_key::<String>()? {
            if seen.contains(&key) {
                return Err(A::Error::custom(format_args!("duplicate key {key:?}")));
            }
            seen.insert(key);
            map.next_value::<NoDuplicates>()?;
        }
        Ok(NoDuplicates)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<NoDuplicates, A::Error> {
        while seq.next_element::<NoDuplicates>()?.is_some() {}
        Ok(NoDuplicates)
    }

    fn visit_bool<E>(self, _: bool) -> Result<NoDuplicates, E> {
        Ok(NoDuplicates)
    }

    fn visit_i64<E>(self, _: i64) -> Result<NoDuplicates, E> {
        Ok(NoDuplicates)
    }

    fn visit_u64<E>(self, _: u64) -> Result<NoDuplicates, E> {
        Ok(NoDuplicates)
    }

    fn visit_f64<E>(self, _: f64) -> Result<NoDuplicates, E> {
        Ok(NoDuplicates)
    }

    fn visit_str<E>(self, _: &str) -> Result<NoDuplicates, E> {
        Ok(NoDuplicates)
    }

    fn visit_unit<E>(self) -> Result<NoDuplicates, E> {
        Ok(NoDuplicates)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_key_given_twice_is_refused_at_any_depth() {
        for text in [r#"{"a":1,"a":1}"#, r#"{"a":1,"\u0061":2}"#, r#"{"x":[0,{"a":1,"a":null}]}"#] {
            assert!(parse::<Value>(text.as_bytes()).is_err(), "{text}");
        }
        let fine = r#"{"x":[{"a":1,"b":{"a":[true,-1,1.5,"x",null]}},{"a":2}]}"#;
        assert!(parse::<Value>(fine.as_bytes()).is_ok());
    }

    #[test]
    fn an_array_is_not_taken_for_the_fields_of_an_object() {
        #[derive(Debug, Deserialize)]
        struct Body {
            text: String,
        }
        assert_eq!(parse::<Body>(br#"{"text":"a"}"#).map(|body| body.text), Ok("a".to_owned()));
        for array in [&br#"["a"]"#[..], b" \n[]"] {
            let refused = parse::<Body>(array).expect_err("an array");
            assert!(format!("{refused:?}").contains("array"), "{refused:?}");
        }
    }

    #[test]
    fn an_idempotency_key_is_one_visible_text() {
        let read = |values: &[&[u8]]| {
            let mut headers = HeaderMap::new();
            for value in values {
                let value = http::HeaderValue::from_bytes(value).expect("a header value");
                headers.append(IDEMPOTENCY_KEY.clone(), value);
            }
            idempotency_key(&headers)
        };
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&[b"a-key"]), Ok(Some(IdempotencyKey::new("a-key").expect("a key"))));
        let long = [b'x'; 256];
        for bad in [&[&b""[..]][..], &[b"a b"], &[b"\xe4"], &[&long], &[b"a", b"a"]] {
            assert!(read(bad).is_err(), "{bad:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_is_given_up() {
        let endless = futures_util::stream::pending::<Result<Bytes, std::io::Error>>();
        let request = Request::new(axum::body::Body::from_stream(endless));
        let refused = body(request).await.expect_err("nothing came");
        assert_eq!(refused, Problem::invalid_input("the request body did not arrive in time"));
    }

    #[tokio::test]
    async fn a_body_that_says_it_is_too_long_is_not_awaited() {
        let request = Request::new(axum::body::Body::from(vec![0; 9 << 20]));
        let refused = body(request).await.map(drop);
        assert!(matches!(refused, Err(Problem::Refused(RuntimeError::PayloadTooLarge { .. }))));
    }

    #[tokio::test]
    async fn bodies_that_are_read_at_once_have_only_so_much_room() {
        let room = BodyRoom::default();
        let read = async || {
            let mut request = Request::new(axum::body::Body::from(vec![0; 8 << 20]));
            request.extensions_mut().insert(room.clone());
            body(request).await
        };
        let mut held = Vec::new();
        let refused = loop {
            match read().await {
                Ok(body) => held.push(body),
                Err(refused) => break refused,
            }
        };
        assert_eq!(held.len(), 8);
        assert!(matches!(refused, Problem::Refused(RuntimeError::Capacity { .. })), "{refused:?}");
        held.pop();
        assert!(read().await.is_ok(), "there is room again");
    }

    #[test]
    fn broken_and_bottomless_json_is_refused() {
        let deep = "[".repeat(100_000);
        for text in ["", "{", "{}{}", "\u{feff}{}", "nul", &deep] {
            assert!(parse::<Value>(text.as_bytes()).is_err());
        }
        assert!(parse::<Value>(b"\"\xff\"").is_err());
    }
}
