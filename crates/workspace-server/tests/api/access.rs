//! Who is let in, and what a browser of another page cannot do.

use axum::body::Body;
use http::{Method, Request, StatusCode, header};

use crate::support::{Answer, Bench, HOST, NOBODY, WORKERS, bare, request};

impl Bench {
    async fn bare_get(&self, path: &str) -> Answer {
        self.ask(bare(request(Method::GET, path))).await
    }

    /// Signs a browser in and gives its cookie.
    pub(crate) async fn session(&self) -> String {
        let answer = self.bare_get(&self.backend.login_link()).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER);
        assert_eq!(answer.headers[header::LOCATION], "/");
        let cookie = answer.headers[header::SET_COOKIE].to_str().expect("text");
        let (pair, attributes) = cookie.split_once("; ").expect("attributes");
        assert_eq!(attributes, "HttpOnly; SameSite=Strict; Path=/");
        pair.to_owned()
    }

    async fn with_cookie(&self, path: &str, cookie: &str) -> Answer {
        self.ask(bare(request(Method::GET, path).header(header::COOKIE, cookie))).await
    }
}

#[tokio::test]
async fn nothing_under_api_is_shown_without_credentials() {
    let bench = Bench::start().await;
    for path in [
        "/api",
        "/api/",
        "/api//",
        "/api/runtimes/",
        "/api/runtimes",
        "/api/workers",
        "/api/nothing",
        WORKERS,
    ] {
        bench.bare_get(path).await.problem(401, "unauthorized");
        let wrong = request(Method::GET, path).header(header::AUTHORIZATION, "Bearer 00");
        bench.ask(bare(wrong)).await.problem(401, "unauthorized");
        bench.with_cookie(path, "yoi_session=00").await.problem(401, "unauthorized");
    }
    let post = request(Method::POST, WORKERS).body(Body::from("{}")).expect("a request");
    bench.ask(post).await.problem(401, "unauthorized");
}

#[tokio::test]
async fn the_access_token_opens_the_api_and_the_page() {
    let bench = Bench::start().await;
    bench.get("/api/runtimes").await.ok();
    let page = bench.get("/").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.text.contains(r#"src="/assets/console.js""#));
}

#[tokio::test]
async fn a_link_signs_one_browser_in_and_never_another() {
    let bench = Bench::start().await;
    let link = bench.backend.login_link();
    let first = bench.bare_get(&link).await;
    assert_eq!(first.status, StatusCode::SEE_OTHER);
    let second = bench.bare_get(&link).await;
    assert_eq!(second.status, StatusCode::UNAUTHORIZED);
    assert!(second.text.contains("yoi url"), "says how to get another");
    assert!(second.headers.get(header::SET_COOKIE).is_none());

    let cookie = bench.session().await;
    assert_eq!(bench.with_cookie("/", &cookie).await.status, StatusCode::OK);
    bench.with_cookie("/api/runtimes", &cookie).await.ok();
    // In a browser that is signed in a used link does no harm: it leads to the clean address.
    assert_eq!(bench.with_cookie(&link, &cookie).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn wrong_and_missing_tokens_get_the_sign_in_page() {
    let bench = Bench::start().await;
    for path in ["/", "/?token=", "/?token=00", "/?other=1"] {
        let answer = bench.bare_get(path).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path}");
        assert!(answer.text.contains("yoi url"));
        assert!(!answer.text.contains("app.js"));
    }
}

#[tokio::test]
async fn looking_at_a_link_with_head_does_not_use_it_up() {
    let bench = Bench::start().await;
    let link = bench.backend.login_link();
    bench.ask(bare(request(Method::HEAD, &link))).await;
    assert_eq!(bench.bare_get(&link).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn only_the_access_token_makes_links() {
    let bench = Bench::start().await;
    let link = bench.command("/api/login-links").await.ok();
    let path = link["url_path"].as_str().expect("a path");
    assert_eq!(bench.bare_get(path).await.status, StatusCode::SEE_OTHER);

    let cookie = bench.session().await;
    let by_browser = request(Method::POST, "/api/login-links")
        .header(header::COOKIE, cookie)
        .header(header::ORIGIN, format!("http://{HOST}"));
    bench.ask(bare(by_browser)).await.problem(403, "forbidden");
}

#[tokio::test]
async fn requests_for_another_host_are_refused_everywhere() {
    let bench = Bench::start().await;
    let bearer = format!("Bearer {}", bench.access_token.reveal());
    for host in ["evil.example", "evil.example:38080", "127.0.0.1:1", "127.0.0.1", ""] {
        for path in ["/", "/assets/console.js", "/api/runtimes", "/nothing"] {
            let request = Request::builder()
                .uri(path)
                .header(header::HOST, host)
                .header(header::AUTHORIZATION, &bearer);
            bench.ask(bare(request)).await.problem(403, "forbidden");
        }
    }
    let without_host = Request::builder().uri("/").header(header::AUTHORIZATION, &bearer);
    bench.ask(bare(without_host)).await.problem(403, "forbidden");
    for host in ["localhost:38080", "[::1]:38080"] {
        let request = Request::builder()
            .uri("/api/runtimes")
            .header(header::HOST, host)
            .header(header::AUTHORIZATION, &bearer);
        bench.ask(bare(request)).await.ok();
    }
}

#[tokio::test]
async fn another_page_cannot_use_the_cookie() {
    let bench = Bench::start().await;
    let cookie = bench.session().await;
    let stop = format!("{WORKERS}/{NOBODY}/stop");
    let post = || request(Method::POST, &stop).header(header::COOKIE, &cookie);
    for foreign in [
        post(),
        post().header(header::ORIGIN, "http://evil.example"),
        post().header(header::ORIGIN, "http://127.0.0.1:3000"),
        post().header(header::ORIGIN, "null"),
        post().header("sec-fetch-site", "same-site"),
    ] {
        bench.ask(bare(foreign)).await.problem(403, "forbidden");
    }
    for own in [
        post().header(header::ORIGIN, format!("http://{HOST}")),
        post().header("sec-fetch-site", "same-origin"),
    ] {
        bench.ask(bare(own)).await.problem(404, "unknown_worker");
    }
    let read = request(Method::GET, "/api/runtimes")
        .header(header::COOKIE, &cookie)
        .header("sec-fetch-site", "cross-site");
    bench.ask(bare(read)).await.problem(403, "forbidden");
}

#[tokio::test]
async fn every_answer_carries_the_security_headers() {
    let bench = Bench::start().await;
    for path in ["/", "/?token=00", "/assets/console.js", "/assets/no", "/api/runtimes", "/api/no"]
    {
        for answer in [bench.get(path).await, bench.bare_get(path).await] {
            let value = |name: &str| {
                let value = answer.headers.get(name).unwrap_or_else(|| panic!("{path}: {name}"));
                value.to_str().expect("text").to_owned()
            };
            let policy = value("content-security-policy");
            assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
            assert!(!policy.contains("unsafe"), "{policy}");
            assert_eq!(value("x-content-type-options"), "nosniff");
            assert_eq!(value("referrer-policy"), "no-referrer");
            let is_asset = path == "/assets/console.js";
            assert_eq!(value("cache-control"), if is_asset { "no-cache" } else { "no-store" });
        }
    }
}

#[tokio::test]
async fn the_page_and_its_assets_fit_their_policy() {
    let bench = Bench::start().await;
    let page = bench.get("/").await.text;
    assert!(!page.contains("<style") && !page.contains(" style=") && !page.contains(" on"));
    let mut transferred = page.len();
    for (name, kind) in [
        ("console.js", "text/javascript"),
        ("stream.js", "text/javascript"),
        ("console.css", "text/css"),
        ("icon.svg", "image/svg+xml"),
    ] {
        let asset = bench.bare_get(&format!("/assets/{name}")).await;
        assert_eq!(asset.status, StatusCode::OK, "{name}");
        let found = asset.headers[header::CONTENT_TYPE].to_str().expect("text");
        assert!(found.starts_with(kind), "{name}: {found}");
        transferred += asset.text.len();
        // Their policy refuses it, whatever they contain of it.
        assert!(!asset.text.contains("eval("), "{name}");
        assert!(!asset.text.contains("new Function"), "{name}");
    }
    assert!(transferred <= 300 << 10, "{transferred} bytes before anything is seen");
    assert_eq!(bench.bare_get("/favicon.ico").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_browser_grants_nothing_and_brings_no_code() {
    let bench = Bench::start().await;
    let cookie = bench.session().await;
    let origin = format!("http://{HOST}");
    let post = |path: &str| {
        request(Method::POST, path).header(header::COOKIE, &cookie).header(header::ORIGIN, &origin)
    };
    let grants = r#"{"profile":"companion","grants":{"llm":{"models":["default"]}}}"#;
    let created = post(WORKERS).header(header::CONTENT_TYPE, "application/json");
    let created = created.body(Body::from(grants)).expect("a request");
    bench.ask(created).await.problem(403, "forbidden");
    let components = "/api/runtimes/backend-internal/components";
    let uploaded = post(components).body(Body::from("\0asm")).expect("a request");
    bench.ask(uploaded).await.problem(403, "forbidden");
    let digest = "7".repeat(64);
    let removed = request(Method::DELETE, &format!("{components}/sha256:{digest}"))
        .header(header::COOKIE, &cookie)
        .header(header::ORIGIN, &origin);
    bench.ask(bare(removed)).await.problem(403, "forbidden");
}
