//! `curl -d 'hello' http://127.0.0.1:8080/companions/ada` talks to the Companion of `ada`.
//!
//! Users are who they say they are: put your own authentication in front of it.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::Router;
use axum::extract::{Path as UrlPath, State};
use axum::http::StatusCode;
use axum::routing::post;
use companion_backend::Companions;
use llm_engine::{Models, discovery};
use tokio::net::TcpListener;
use tokio::signal;

#[tokio::main]
async fn main() -> Result<()> {
    let model = discovery::default_model(|name| std::env::var(name).ok()).await?;
    let models = Models::none().with("default", model);
    let companions = Companions::open(Path::new("companions"), models).await?;

    let app = Router::new().route("/companions/{user}", post(say)).with_state(companions.clone());
    let listener = TcpListener::bind("127.0.0.1:8080").await.context("port 8080 is taken")?;
    let interrupted = async {
        let _ = signal::ctrl_c().await;
    };
    axum::serve(listener, app).with_graceful_shutdown(interrupted).await?;
    companions.runtime().shutdown(Duration::from_secs(5)).await;
    Ok(())
}

async fn say(
    State(companions): State<Companions>,
    UrlPath(user): UrlPath<String>,
    text: String,
) -> Result<String, (StatusCode, String)> {
    companions.say(&user, &text).await.map_err(|error| {
        eprintln!("{user}: {error:#}");
        (StatusCode::BAD_GATEWAY, "the Companion does not answer\n".to_owned())
    })
}
