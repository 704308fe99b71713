//! The password: over TLS, on an address that other machines reach, and what does not get in there.

use std::{fs, io, io::Read as _, net::SocketAddr, os::unix::fs::PermissionsExt as _, sync::Arc};

use http::{Method, StatusCode, header};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use reqwest::{Certificate, Client, RequestBuilder, Response, redirect};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use worker_runtime::error_chain;
use yoi_workspace_server::{
    Backend, BackendServeError, Password, PasswordFile, PasswordFileError, ServeOptions, ServerTls,
};

use crate::support::{Bench, DEADLINE, HOST, bare, request};

const PASSWORD: &str = "correct horse battery";

/// What the server is called by, and what stands in its certificate.
const NAME: &str = "far.example";

fn typed(text: &str) -> Password {
    Password::typed(text.to_owned())
}

/// A file with the password, in a directory that goes with the first.
fn password() -> (TempDir, PasswordFile) {
    let dir = tempfile::tempdir().expect("a directory");
    let file = PasswordFile::new(dir.path().join("password"));
    file.set(&typed(PASSWORD)).expect("set");
    (dir, file)
}

fn identity() -> (ServerTls, Certificate) {
    let names = [NAME, "localhost"].map(str::to_owned);
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(names).expect("a certificate");
    let tls = ServerTls::from_pem(cert.pem().as_bytes(), signing_key.serialize_pem().as_bytes());
    let trusted = Certificate::from_pem(cert.pem().as_bytes()).expect("a certificate");
    (tls.expect("TLS"), trusted)
}

fn options(tls: Option<ServerTls>) -> ServeOptions {
    let names = vec![NAME.parse().expect("a name")];
    ServeOptions { tls, names, ..ServeOptions::default() }
}

/// A Backend with TLS and a password that listens on all addresses, and a browser.
struct Open {
    bench: Bench,
    backend: Backend,
    address: SocketAddr,
    password: PasswordFile,
    http: Client,
    dir: TempDir,
    _server: JoinSet<Result<(), BackendServeError>>,
}

impl Open {
    async fn start() -> Self {
        let bench = Bench::start().await;
        let (dir, password) = password();
        let (tls, trusted) = identity();
        let backend = bench.backend.clone();
        let backend =
            backend.with_password(password.clone()).with_serve_options(options(Some(tls)));
        let listener = TcpListener::bind("0.0.0.0:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let mut server = JoinSet::new();
        let served = backend.clone();
        server.spawn(async move { served.serve(listener, CancellationToken::new()).await });
        let http = Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .tls_certs_only([trusted])
            .resolve(NAME, address)
            .resolve("localhost", address)
            .build()
            .expect("a client");
        Self { bench, backend, address, password, http, dir, _server: server }
    }

    fn origin(&self) -> String {
        format!("https://{NAME}:{}", self.address.port())
    }

    /// What a page of this server asks.
    fn own(&self, method: Method, path: &str) -> RequestBuilder {
        let origin = self.origin();
        self.http.request(method, format!("{origin}{path}")).header(header::ORIGIN, origin)
    }

    async fn login(&self, password: &str) -> Response {
        let body = json!({ "password": password }).to_string();
        let request = self.own(Method::POST, "/api/login").body(body);
        request.header(header::CONTENT_TYPE, "application/json").send().await.expect("an answer")
    }

    /// Signs in, and gives the cookie, without what a browser may do with it.
    async fn signed_in(&self) -> String {
        let answer = self.login(PASSWORD).await;
        assert_eq!(answer.status(), StatusCode::NO_CONTENT);
        let cookie = answer.headers()[header::SET_COOKIE].to_str().expect("text");
        cookie.split_once("; ").expect("attributes").0.to_owned()
    }

    async fn status_with(&self, cookie: &str) -> StatusCode {
        let request = self.own(Method::GET, "/api/runtimes").header(header::COOKIE, cookie);
        request.send().await.expect("an answer").status()
    }

    async fn json(&self, path: &str) -> Value {
        let answer = self.own(Method::GET, path).send().await.expect("an answer");
        serde_json::from_slice(&answer.bytes().await.expect("a body")).expect("JSON")
    }
}

#[tokio::test]
async fn the_password_signs_a_browser_in_and_its_cookie_travels_encrypted_only() {
    let open = Open::start().await;
    assert_eq!(open.json("/api/login").await, json!({ "signed_in": false, "password": true }));
    let page = open.own(Method::GET, "/").send().await.expect("an answer");
    assert_eq!(page.status(), StatusCode::UNAUTHORIZED);
    let text = page.text().await.expect("text");
    assert!(text.contains(r#"<div id="app" data-signed-out>"#), "{text}");
    assert!(text.contains(r#"src="/assets/console.js""#) && !text.contains("yoi url"), "{text}");

    let answer = open.login(PASSWORD).await;
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    let cookie = answer.headers()[header::SET_COOKIE].to_str().expect("text");
    let (pair, attributes) = cookie.split_once("; ").expect("attributes");
    assert!(pair.starts_with(&format!("__Host-yoi_session_{}=", open.address.port())), "{pair}");
    assert_eq!(attributes, "HttpOnly; Secure; SameSite=Strict; Path=/");
    assert_eq!(open.status_with(pair).await, StatusCode::OK);
    let page = open.own(Method::GET, "/").header(header::COOKIE, pair).send().await;
    let page = page.expect("an answer").text().await.expect("text");
    assert!(page.contains(r#"<div id="app">"#), "{page}");
}

#[tokio::test]
async fn browsers_encrypt_for_a_year_what_they_ask_of_a_name_and_of_nothing_else() {
    let open = Open::start().await;
    for path in ["/", "/api/runtimes", "/nothing"] {
        let by_name = open.own(Method::GET, path).send().await.expect("an answer");
        assert_eq!(by_name.headers()[header::STRICT_TRANSPORT_SECURITY], "max-age=31536000");
        let local = format!("https://localhost:{}{path}", open.address.port());
        let local = open.http.get(local).send().await.expect("an answer");
        // It would bind the servers at other ports of `localhost`, too.
        assert!(local.headers().get(header::STRICT_TRANSPORT_SECURITY).is_none(), "{path}");
    }
}

#[tokio::test]
async fn whatever_is_not_the_password_is_answered_alike() {
    let open = Open::start().await;
    let long = PASSWORD.repeat(60);
    let mut answers = Vec::new();
    for wrong in ["", "correct horse batterY", "correct horse battery ", &long] {
        let answer = open.login(wrong).await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{wrong}");
        assert!(answer.headers().get(header::SET_COOKIE).is_none());
        answers.push(answer.text().await.expect("text"));
    }
    let without = Bench::start().await;
    let body = r#"{"password":"correct horse battery"}"#;
    let request = request(Method::POST, "/api/login")
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::ORIGIN, format!("http://{HOST}"));
    answers.push(without.ask(request.body(body.into()).expect("a request")).await.text);
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert!(answers[0].contains("unauthorized"), "{answers:?}");
}

#[tokio::test]
async fn a_body_that_makes_no_sense_is_refused_without_being_repeated() {
    let open = Open::start().await;
    for (body, status) in [
        (r#"{"password":"sesame","x":1}"#.to_owned(), StatusCode::BAD_REQUEST),
        (r#""sesame""#.to_owned(), StatusCode::BAD_REQUEST),
        (r#"{"password":["sesame"]}"#.to_owned(), StatusCode::BAD_REQUEST),
        ("sesame".to_owned(), StatusCode::BAD_REQUEST),
        (format!(r#"{{"password":"{}"}}"#, "sesame".repeat(9_000)), StatusCode::PAYLOAD_TOO_LARGE),
    ] {
        let request = open.own(Method::POST, "/api/login").body(body);
        let request = request.header(header::CONTENT_TYPE, "application/json");
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), status);
        let text = answer.text().await.expect("text");
        assert!(!text.contains("sesame"), "{text}");
    }
    let plain = open.own(Method::POST, "/api/login").body(r#"{"password":"sesame"}"#);
    let plain = plain.send().await.expect("an answer");
    assert_eq!(plain.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[tokio::test]
async fn who_tries_too_many_passwords_waits_and_meanwhile_the_right_one_does_not_count() {
    let open = Open::start().await;
    let cookie = open.signed_in().await;
    let mut tried = 0;
    loop {
        let answer = open.login("no horse of any kind").await;
        if answer.status() == StatusCode::UNAUTHORIZED {
            tried += 1;
            // Pauses double: however slow the machine is, one is soon longer than a try.
            assert!(tried < 16, "nobody slows it down");
            continue;
        }
        assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
        let wait = answer.headers()[header::RETRY_AFTER].to_str().expect("text");
        if wait.parse::<u64>().expect("seconds") >= 4 {
            break;
        }
    }
    assert!(tried >= 7, "five tries without a pause, then short ones: {tried}");
    assert_eq!(open.login(PASSWORD).await.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(open.status_with(&cookie).await, StatusCode::OK, "who is signed in stays so");
}

#[tokio::test]
async fn a_forged_cookie_and_one_that_was_signed_out_are_nobodys() {
    let open = Open::start().await;
    let (cookie, other) = (open.signed_in().await, open.signed_in().await);
    let (name, value) = cookie.split_once('=').expect("a value");
    for forged in [
        format!("{name}="),
        format!("{name}={}", "0".repeat(64)),
        format!("{name}={}", &value[1..]),
        // What anybody on the network could have set.
        format!("{}={value}", name.trim_start_matches("__Host-")),
        format!("__Host-yoi_session_1={value}"),
    ] {
        assert_eq!(open.status_with(&forged).await, StatusCode::UNAUTHORIZED, "{forged}");
    }
    let out = open.own(Method::POST, "/api/logout").header(header::COOKIE, &cookie);
    let out = out.send().await.expect("an answer");
    assert_eq!(out.status(), StatusCode::NO_CONTENT);
    let cleared = out.headers()[header::SET_COOKIE].to_str().expect("text");
    assert!(cleared.starts_with(&format!("{name}=;")) && cleared.ends_with("; Max-Age=0"));
    assert_eq!(open.status_with(&cookie).await, StatusCode::UNAUTHORIZED);
    assert_eq!(open.status_with(&other).await, StatusCode::OK, "another browser goes on");
}

#[tokio::test]
async fn another_page_or_host_neither_signs_in_nor_out() {
    let open = Open::start().await;
    let cookie = open.signed_in().await;
    let body = json!({ "password": PASSWORD }).to_string();
    let plain = open.origin().replace("https:", "http:");
    for path in ["/api/login", "/api/logout"] {
        let post = || {
            let url = format!("{}{path}", open.origin());
            let request = open.http.post(url).body(body.clone());
            request.header(header::CONTENT_TYPE, "application/json").header(header::COOKIE, &cookie)
        };
        for foreign in [
            post(),
            post().header(header::ORIGIN, "https://evil.example"),
            post().header(header::ORIGIN, &plain),
            post().header(header::ORIGIN, "null"),
            post().header(header::ORIGIN, open.origin()).header("sec-fetch-site", "same-site"),
            // A name that somebody lets lead here.
            post().header(header::HOST, "evil.example").header(header::ORIGIN, open.origin()),
        ] {
            let answer = foreign.send().await.expect("an answer");
            assert_eq!(answer.status(), StatusCode::FORBIDDEN);
            assert!(answer.headers().get(header::SET_COOKIE).is_none());
        }
    }
    assert_eq!(open.status_with(&cookie).await, StatusCode::OK);
}

#[tokio::test]
async fn plain_http_at_the_port_of_tls_is_told_nothing() {
    let open = Open::start().await;
    let mut stream = TcpStream::connect(open.address).await.expect("a connection");
    let request = format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", open.address);
    stream.write_all(request.as_bytes()).await.expect("a write");
    let mut answer = Vec::new();
    let end = timeout(DEADLINE, stream.read_to_end(&mut answer)).await.expect("an end in time");
    // A reset ends it as well as an orderly close.
    drop(end);
    assert!(!String::from_utf8_lossy(&answer).contains("HTTP/1"), "{answer:?}");
    assert_eq!(open.json("/api/login").await["password"], true, "it serves others");
}

#[tokio::test]
async fn a_changed_password_ends_all_sessions_and_what_they_hold_open() {
    let open = Open::start().await;
    let cookie = open.signed_in().await;
    let events = open.own(Method::GET, "/api/events").header(header::COOKIE, &cookie);
    let events = events.header(header::ACCEPT, "text/event-stream").send().await;
    let mut events = events.expect("an answer");
    assert_eq!(events.status(), StatusCode::OK);
    open.password.set(&typed("another one of these")).expect("set");
    // Nobody asks anything meanwhile.
    let ended = async { while events.chunk().await.expect("no break").is_some() {} };
    timeout(DEADLINE, ended).await.expect("the stream ends");
    assert_eq!(open.status_with(&cookie).await, StatusCode::UNAUTHORIZED);
    assert_eq!(open.login(PASSWORD).await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(open.login("another one of these").await.status(), StatusCode::NO_CONTENT);

    assert!(open.password.remove().expect("removed"));
    assert_eq!(open.json("/api/login").await, json!({ "signed_in": false, "password": false }));
    assert_eq!(open.login("another one of these").await.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_file_that_others_can_read_while_it_is_served_lets_nobody_in() {
    let open = Open::start().await;
    let cookie = open.signed_in().await;
    let path = open.dir.path().join("password");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("set");
    assert_eq!(open.status_with(&cookie).await, StatusCode::UNAUTHORIZED);
    let answer = open.login(PASSWORD).await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    let said = answer.text().await.expect("text");
    let dir = open.dir.path().display().to_string();
    assert!(!said.contains("argon2") && !said.contains(&dir), "{said}");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("set");
    assert_eq!(open.login(PASSWORD).await.status(), StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn no_link_signs_in_where_other_machines_reach_it_but_programs_have_their_token() {
    let open = Open::start().await;
    let link = open.backend.login_link();
    let answer = open.own(Method::GET, &link).send().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert!(answer.headers().get(header::SET_COOKIE).is_none());
    let bearer = format!("Bearer {}", open.bench.access_token.reveal());
    let url = |path: &str| format!("{}{path}", open.origin());
    let made = open.http.post(url("/api/login-links")).header(header::AUTHORIZATION, &bearer);
    let made = made.send().await.expect("an answer");
    assert_eq!(made.status(), StatusCode::FORBIDDEN);
    assert!(made.text().await.expect("text").contains("sign in with the password"));
    let read = open.http.get(url("/api/runtimes")).header(header::AUTHORIZATION, &bearer);
    assert_eq!(read.send().await.expect("an answer").status(), StatusCode::OK);
}

#[tokio::test]
async fn nothing_is_served_to_other_machines_without_tls_and_a_password_of_its_owners() {
    let bench = Bench::start().await;
    let (dir, file) = password();
    let (tls, _) = identity();
    let serve = async |tls: Option<ServerTls>, password: Option<&PasswordFile>, at: &str| {
        let backend = bench.backend.clone();
        let backend = match password {
            Some(password) => backend.with_password(password.clone()),
            None => backend,
        };
        let listener = TcpListener::bind(at).await.expect("a port");
        let served = backend
            .with_serve_options(options(tls))
            .serve(listener, CancellationToken::new())
            .await;
        served.expect_err("a refusal")
    };
    let everywhere = "0.0.0.0:0";
    let plain = serve(None, Some(&file), everywhere).await;
    assert!(matches!(plain, BackendServeError::NotLoopback { .. }), "{plain:?}");
    let missing = PasswordFile::new(dir.path().join("missing"));
    for none in [None, Some(&missing)] {
        let refused = serve(Some(tls.clone()), none, everywhere).await;
        assert!(matches!(refused, BackendServeError::NoPassword { .. }), "{refused:?}");
    }
    let path = dir.path().join("password");
    let hash = fs::read_to_string(&path).expect("text");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("set");
    for at in [everywhere, "127.0.0.1:0"] {
        let refused = serve(Some(tls.clone()), Some(&file), at).await;
        let BackendServeError::Password(PasswordFileError::NotPrivate) = &refused else {
            panic!("{refused:?}")
        };
        let said = format!("{} {refused:?}", error_chain(&refused));
        assert!(said.contains("chmod 600"), "{said}");
        assert!(!said.contains(hash.trim()) && !said.contains("argon2"), "{said}");
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("set");
    fs::write(&path, PASSWORD).expect("written");
    let refused = serve(Some(tls), Some(&file), everywhere).await;
    let said = format!("{} {refused:?}", error_chain(&refused));
    assert!(said.contains("yoi password set") && !said.contains(PASSWORD), "{said}");
}

#[tokio::test]
async fn on_loopback_links_and_the_password_both_sign_in() {
    let (_dir, file) = password();
    let bench = Bench::start().await.with_password(file);
    let by_link = bench.ask(bare(request(Method::GET, &bench.backend.login_link()))).await;
    assert_eq!(by_link.status, StatusCode::SEE_OTHER);
    let login = request(Method::POST, "/api/login")
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::ORIGIN, format!("http://{HOST}"))
        .body(json!({ "password": PASSWORD }).to_string().into());
    let by_password = bench.ask(login.expect("a request")).await;
    assert_eq!(by_password.status, StatusCode::NO_CONTENT, "{by_password:?}");
    for answer in [by_link, by_password] {
        let cookie = answer.headers[header::SET_COOKIE].to_str().expect("text");
        let (pair, attributes) = cookie.split_once("; ").expect("attributes");
        assert_eq!(attributes, "HttpOnly; SameSite=Strict; Path=/");
        let state = request(Method::GET, "/api/login").header(header::COOKIE, pair);
        let state = bench.ask(bare(state)).await.ok();
        assert_eq!(state, json!({ "signed_in": true, "password": true }));
    }
}

#[tokio::test]
async fn neither_the_password_nor_its_hash_is_in_a_log_or_a_debug_print() {
    let (dir, file) = password();
    let hash = fs::read_to_string(dir.path().join("password")).expect("text");
    let bench = Bench::start().await.with_password(file.clone());
    let (mut log, writer) = io::pipe().expect("a pipe");
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(Arc::new(writer))
        .finish();
    let capturing = tracing::subscriber::set_default(subscriber);
    let wrong = "wrong horse of some kind";
    for (text, status) in [(PASSWORD, StatusCode::NO_CONTENT), (wrong, StatusCode::UNAUTHORIZED)] {
        let login = request(Method::POST, "/api/login")
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ORIGIN, format!("http://{HOST}"))
            .body(json!({ "password": text }).to_string().into());
        assert_eq!(bench.ask(login.expect("a request")).await.status, status);
    }
    drop(capturing);
    let mut text = String::new();
    log.read_to_string(&mut text).expect("text");
    assert!(text.contains("signed in") && text.contains("a password was refused"), "{text}");
    let shown = format!("{text} {:?} {file:?} {:?}", bench.backend, typed(PASSWORD));
    for secret in [PASSWORD, wrong, hash.trim(), "argon2id"] {
        assert!(!shown.contains(secret), "{secret}: {shown}");
    }
}
