//! `yoi url`: another link to the console.

use yoi_config::Config;

use crate::{backend_client::BackendClient, cli::BackendArgs, exit::Exit, output::Output};

pub(crate) async fn run(
    args: &BackendArgs,
    config: &Config,
    output: Output,
) -> anyhow::Result<Exit> {
    let link = BackendClient::find(args, config, output)?.login_link().await?;
    if output.is_json() {
        output.json(&serde_json::json!({ "url": link }))?;
    } else {
        output.line(&link)?;
    }
    Ok(Exit::Done)
}
