//! Extractors whose rejections are problems.

use std::{borrow::Cow, collections::BTreeSet, error::Error as _, fmt, time::Duration};

use axum::{
    body::Bytes,
    extract::{
        FromRequest, FromRequestParts, Path, Query, Request,
        rejection::{PathRejection, QueryRejection},
    },
};
use http::{HeaderMap, HeaderName, StatusCode, header, request::Parts};
use http_body_util::LengthLimitError;
use serde::{
    Deserialize,
    de::{DeserializeOwned, Deserializer, Error as _, MapAccess, SeqAccess, Visitor},
};
use tokio::time;
use worker_types::{IdempotencyKey, RuntimeError};

use crate::Problem;

/// The largest request body: an input may carry a few pictures.
pub const BODY_LIMIT_BYTES: usize = 8 << 20;

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
#[derive(Debug, Clone)]
pub struct CallerName(pub Cow<'static, str>);

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

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(Problem::UnsupportedMediaType);
        }
        parse(&body(request, state).await?).map(Self)
    }
}

/// A JSON body that may be absent; then it is the default.
pub struct OptionalJson<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Default> FromRequest<S> for OptionalJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let says_json = is_json(request.headers());
        let bytes = body(request, state).await?;
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

/// A body of any kind, of at most `limit` bytes. One that comes in pieces and does not say how long it is, is
/// read no further than that.
///
/// # Errors
///
/// `PayloadTooLarge` of `what`, or `InvalidInput` where it breaks off or takes too long.
pub async fn read_body(request: Request, what: &str, limit: u64) -> Result<Bytes, Problem> {
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let times = u32::try_from(most / BODY_LIMIT_BYTES).unwrap_or(u32::MAX).max(1);
    let time = BODY_TIMEOUT.saturating_mul(times);
    let read = time::timeout(time, axum::body::to_bytes(request.into_body(), most)).await;
    let read =
        read.map_err(|_| Problem::invalid_input("the request body did not arrive in time"))?;
    read.map_err(|error| {
        let is_too_long = error.source().is_some_and(|source| source.is::<LengthLimitError>());
        if is_too_long {
            RuntimeError::PayloadTooLarge { what: what.to_owned(), limit_bytes: limit }.into()
        } else {
            Problem::invalid_input("the request body broke off")
        }
    })
}

async fn body<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    let read = time::timeout(BODY_TIMEOUT, Bytes::from_request(request, state)).await;
    let read =
        read.map_err(|_| Problem::invalid_input("the request body did not arrive in time"))?;
    read.map_err(|rejection| {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            RuntimeError::PayloadTooLarge {
                what: "the request body".to_owned(),
                limit_bytes: BODY_LIMIT_BYTES as u64,
            }
            .into()
        } else {
            Problem::invalid_input("the request body broke off")
        }
    })
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
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
        for text in [r#"{"a":1,"a":1}"#, r#"{"a":1,"\u0061":2}"#, r#"[0,{"b":{"a":1,"a":null}}]"#] {
            assert!(parse::<Value>(text.as_bytes()).is_err(), "{text}");
        }
        let fine = r#"[{"a":1,"b":{"a":[true,-1,1.5,"x",null]}},{"a":2}]"#;
        assert!(parse::<Value>(fine.as_bytes()).is_ok());
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
        let refused = body(request, &()).await.expect_err("nothing came");
        assert_eq!(refused, Problem::invalid_input("the request body did not arrive in time"));
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
