//! An address that other machines reach: what is looked at before anybody is served there.

use std::{fs, process::Command, sync::mpsc, thread, time::Duration};

use http_api::{ServeOptions, ServerTls};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use runtime_server::{RuntimeServer, Scope, ServeRuntimeError};
use tokio::{net::TcpListener, sync::oneshot};
use tokio_util::sync::CancellationToken;

use crate::support::Server;

/// How long a thread may be blocked until it counts as that.
const BLOCKED: Duration = Duration::from_secs(20);

/// The Runtime of `server`, with TLS.
fn encrypted(server: &Server) -> RuntimeServer {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let tls = ServerTls::from_pem(cert.pem().as_bytes(), signing_key.serialize_pem().as_bytes());
    let options = ServeOptions { tls: Some(tls.expect("TLS")), ..ServeOptions::default() };
    RuntimeServer::new(server.runtime.clone(), server.tokens.clone()).with_serve_options(options)
}

#[tokio::test]
async fn nobody_is_served_where_it_cannot_be_told_who_may() {
    let server = Server::new().await;
    let served = encrypted(&server);
    let address = ([0, 0, 0, 0], 38_800).into();
    assert!(matches!(served.check(address), Err(ServeRuntimeError::NoTokens { .. })));
    server.scoped(Scope::Observe);
    assert!(served.check(address).is_ok());
    fs::write(server.token_path(), "{").expect("written");
    assert!(matches!(served.check(address), Err(ServeRuntimeError::Tokens { .. })));
}

/// The file is a pipe here: who reads it waits until somebody writes to it.
#[tokio::test]
async fn a_file_of_tokens_that_is_slow_to_read_holds_up_nobody_else() {
    let server = Server::new().await;
    server.scoped(Scope::Observe);
    let path = server.token_path();
    let tokens = fs::read(&path).expect("the file");
    fs::remove_file(&path).expect("removed");
    let made = Command::new("mkfifo").args(["-m", "600"]).arg(&path).status();
    assert!(made.expect("mkfifo").success());

    let (tell, told) = mpsc::channel();
    let (written, is_written) = oneshot::channel();
    let writing = thread::spawn(move || {
        let others_ran = told.recv_timeout(BLOCKED).is_ok();
        fs::write(path, tokens).expect("written");
        let _ = written.send(());
        others_ran
    });
    let served = encrypted(&server);
    let listener = TcpListener::bind("0.0.0.0:0").await.expect("a port");
    let stop = CancellationToken::new();
    let others = async {
        tell.send(()).expect("the thread listens");
        is_written.await.expect("the thread writes");
        stop.cancel();
    };
    // On this one thread, serving has its turn first.
    let (ended, ()) = tokio::join!(biased; served.serve(listener, stop.clone()), others);
    ended.expect("it served");
    assert!(writing.join().expect("the thread"), "nothing else ran while the file was read");
}
