//! Commands of bashkit's that are not there, and others that say why they are not.

use std::sync::Arc;

use bashkit::{Builtin, BuiltinContext, CommandResolver, ExecResult, Result, async_trait};

/// Commands that pretend: those of the network, for which there is none, those that tell invented
/// figures about the machine, and those that exist nowhere else, so that a script that finds them
/// takes them for something of its own.
pub(super) const MISLEADING: [&str; 22] = [
    "assert", "curl", "df", "dotenv", "free", "git", "glob", "http", "log", "retry", "scp",
    "semver", "sftp", "ssh", "template", "uptime", "users", "verify", "vi", "watch", "wget", "who",
];

/// Names that scripts reach the network by.
const NETWORK: [&str; 16] = [
    "curl", "dig", "ftp", "host", "nc", "ncat", "netcat", "nslookup", "ping", "rsync", "scp",
    "sftp", "ssh", "telnet", "wget", "http",
];

/// Knows why commands of the network are not found.
pub(super) struct Network;

impl CommandResolver for Network {
    fn resolve(&self, name: &str) -> Option<Arc<dyn Builtin>> {
        NETWORK.contains(&name).then(|| Arc::new(NotFound(name.to_owned())) as Arc<dyn Builtin>)
    }
}

struct NotFound(String);

#[async_trait]
impl Builtin for NotFound {
    async fn execute(&self, _context: BuiltinContext<'_>) -> Result<ExecResult> {
        let message = format!("{}: command not found: this shell has no network\n", self.0);
        Ok(ExecResult::err(message, 127))
    }
}
