use std::{ffi::OsString, path::Path};

use insta::assert_snapshot;
use worker_types::{Access, ConfigValue, ModelAlias, ProfileName, Retention, RootName};

use super::*;

fn parse(text: &str) -> Config {
    Config::parse(text, "/etc/yoi/yoi.toml").unwrap_or_else(|error| panic!("{error}"))
}

fn refusal(text: &str) -> String {
    Config::parse(text, "yoi.toml").expect_err("a configuration that makes no sense").to_string()
}

#[test]
fn everything_that_exists_can_be_written() {
    let config = parse(
        r#"
[runtime]
id = "desk"
display_name = "My desk"
default_profile = "tutor"

[server]
listen = "127.0.0.1:9000"
data_dir = "data"
shutdown_grace_s = 60

[models.default]
provider = "openai-responses"
model = "gpt-5"
base_url = "http://127.0.0.1:8000/v1"
api_key_env = "MY_KEY"

[models.spare]
provider = "offline"

[profiles.tutor]
component = "builtin:companion"
description = "Explains things."
optional = ["llm"]
resume = true
config = { greeting = "Hello", patience = 3, warmth = 0.5, strict = false }

[profiles.mine]
component = "guests/mine.wasm"

[roots.project]
path = "project"
access = "read-write"
git = "exposed"

[roots.docs]
path = "/srv/docs"

[policy.tutor]
llm = ["default", "spare"]
preopens = [
    { root = "project", path = "services/api", guest_path = "/workspace", access = "read-write" },
    { root = "docs", guest_path = "/docs" },
    { root = "scratch", guest_path = "/tmp", access = "read-write" },
]

[policy.mine]

[limits]
turn_wall_ms = 1000
queue = 0
memory_total = 1073741824

[retention]
max_age_s = 2592000
max_events = 100000
max_bytes = 67108864
"#,
    );
    assert_eq!(config.server.listen, Some("127.0.0.1:9000".parse().expect("an address")));
    assert_eq!(config.server.data_dir.as_deref(), Some(Path::new("/etc/yoi/data")));
    let default = &config.models[&"default".parse::<ModelAlias>().expect("an alias")];
    assert_eq!(default.base_url.as_deref(), Some("http://127.0.0.1:8000/v1/"));
    let profile = |name: &str| &config.profiles[&name.parse::<ProfileName>().expect("a name")];
    assert_eq!(profile("tutor").config["patience"], ConfigValue::Integer(3));
    assert_eq!(profile("tutor").config["warmth"], ConfigValue::Number(0.5));
    assert_eq!(
        profile("mine").component,
        ComponentSource::File {
            written: "guests/mine.wasm".to_owned(),
            path: "/etc/yoi/guests/mine.wasm".into(),
        }
    );
    let policy = |name: &str| &config.policy[&name.parse::<ProfileName>().expect("a name")];
    assert_eq!(policy("tutor").llm.as_ref().map(|llm| llm.models.len()), Some(2));
    assert_eq!(policy("tutor").preopens.len(), 3);
    assert_eq!(policy("mine").llm, None);
    let root = |name: &str| &config.roots[&name.parse::<RootName>().expect("a name")];
    assert_eq!(root("project").path, Path::new("/etc/yoi/project"));
    assert_eq!(root("project").git, GitDirectories::Exposed);
    let plain = RootConfig {
        path: "/srv/docs".into(),
        access: Access::ReadOnly,
        git: GitDirectories::Refused,
    };
    assert_eq!(*root("docs"), plain);
    assert!(profile("tutor").resume && !profile("mine").resume);
    assert_eq!(config.limits.turn_wall_ms, 1000);
    assert_eq!((config.limits.queue, config.limits.memory_total), (0, 1 << 30));
    assert_eq!(
        config.retention,
        Retention {
            max_age_s: Some(30 * 24 * 60 * 60),
            max_events: Some(100_000),
            max_bytes: Some(64 << 20),
        }
    );
    assert_eq!(config.limits.turn_cpu_ms, worker_types::Limits::default().turn_cpu_ms);
}

#[test]
fn an_empty_file_is_the_default() {
    let config = parse("");
    assert_eq!(config.server, ServerConfig::default());
    assert!(config.models.is_empty() && config.policy.is_empty());
    assert!(config.retention.is_unbounded());
}

#[test]
fn unknown_keys_name_the_line_and_what_would_be_right() {
    assert_snapshot!(
        refusal("[models.default]\nprovider = \"openai\"\nmodle = \"gpt-5\"\n"),
        @"yoi.toml:3:1: models.default.modle: unknown key `modle`, expected one of `provider`, `model`, `base_url`, `api_key_env`, `max_concurrent`, `timeout_s`"
    );
    assert_snapshot!(refusal("[servers]\n"), @"yoi.toml:1:2: servers: unknown key `servers`, expected one of `runtime`, `server`, `roots`, `models`, `profiles`, `policy`, `workspaces`, `runtimes`, `commands`, `limits`, `retention`");
    assert_snapshot!(refusal("[runtime]\nname = \"x\"\n"), @"yoi.toml:2:1: runtime.name: unknown key `name`, expected one of `id`, `display_name`, `default_profile`");
    assert_snapshot!(refusal("[server]\nport = 1\n"), @"yoi.toml:2:1: server.port: unknown key `port`, expected one of `listen`, `data_dir`, `confine`, `tls`, `names`, `shutdown_grace_s`");
    assert_snapshot!(refusal("\n\n[policy.companion]\nlmm = [\"default\"]\n"), @"yoi.toml:4:1: policy.companion.lmm: unknown key `lmm`, expected one of `preopens`, `llm`, `shell`, `workspace`");
    assert_snapshot!(refusal("[limits]\nturn_wall_seconds = 1\n"), @"yoi.toml:2:1: limits.turn_wall_seconds: unknown key `turn_wall_seconds`, expected one of `turn_wall_ms`, `turn_cpu_ms`, `turn_memory_bytes`, `turn_table_elements`, `turn_instances`, `host_call_bytes`, `turn_handles`, `turn_file_bytes`, `turn_open_files`, `turn_commands`, `turn_output_bytes`, `turn_log_bytes`, `item_bytes`, `turn_record_bytes`, `events_per_second`, `state_bytes`, `scratch_bytes`, `queue`, `live_turns`, `live_commands`, `memory_total`, `open_files`, `workers`, `component_bytes`, `compile_ms`, `compile_memory_bytes`");
    assert_snapshot!(refusal("[retention]\nmax_days = 1\n"), @"yoi.toml:2:1: retention.max_days: unknown key `max_days`, expected one of `max_age_s`, `max_events`, `max_bytes`");
    assert_snapshot!(
        refusal("profiles = { a = { component = \"builtin:echo\", prompt = \"x\" } }\n"),
        @"yoi.toml:1:48: profiles.a.prompt: unknown key `prompt`, expected one of `component`, `description`, `optional`, `commands`, `resume`, `config`"
    );
}

#[test]
fn bad_values_name_the_key_and_what_would_be_right() {
    assert_snapshot!(
        refusal("[models.default]\nprovider = \"opnai\"\nmodel = \"gpt-5\"\n"),
        @"yoi.toml:2:12: models.default.provider: unknown value `opnai`, expected one of `openai`, `openai-responses`, `anthropic`, `gemini`, `ollama`, `offline`"
    );
    assert_snapshot!(refusal("[server]\nlisten = 8900\n"), @"yoi.toml:2:10: server.listen: invalid type: integer `8900`, expected a string");
    assert_snapshot!(refusal("[server]\nlisten = \"localhost:8900\"\n"), @"yoi.toml:2:10: server.listen: expected an IP address and a port, such as `127.0.0.1:8900`");
    assert_snapshot!(refusal("[server]\ndata_dir = \"~/yoi\"\n"), @"yoi.toml:2:12: server.data_dir: expected a path, written out without `~`");
    assert_snapshot!(refusal("[server]\nnames = [\"host:443\"]\n"), @"yoi.toml:2:9: server.names: not the name of a machine: expected one such as `host.example` or `192.0.2.1`, without a port");
    assert_snapshot!(refusal("[server.tls]\ncertificate = \"a.pem\"\n"), @"yoi.toml:1:1: server.tls: missing key `key`");
    assert_snapshot!(refusal("[server]\nconfine = \"yes\"\n"), @"yoi.toml:2:11: server.confine: unknown value `yes`, expected one of `best-effort`, `required`, `off`");
    assert_snapshot!(refusal("[limits]\nturn_wall_ms = -1\n"), @"yoi.toml:2:16: limits.turn_wall_ms: invalid value: integer `-1`, expected a whole number that is not negative");
    assert_snapshot!(refusal("[limits]\nturn_cpu_ms = 5\nturn_wall_ms = 0\n"), @"yoi.toml:3:1: limits.turn_wall_ms: expected at least 1");
    assert_snapshot!(refusal("[limits]\ncompile_ms = 0\n"), @"yoi.toml:2:1: limits.compile_ms: expected at least 1");
    for bound in ["max_age_s", "max_events", "max_bytes"] {
        assert_eq!(
            refusal(&format!("[retention]\n\n{bound} = 0\n")),
            format!("yoi.toml:3:1: retention.{bound}: expected at least 1")
        );
    }
    assert_snapshot!(refusal("[retention]\nmax_events = \"many\"\n"), @"yoi.toml:2:14: retention.max_events: invalid type: string, expected a whole number that is not negative");
    assert_snapshot!(refusal("[profiles.a]\ncomponent = \"builtin:echo\"\nresume = 3\n"), @"yoi.toml:3:10: profiles.a.resume: invalid type: integer `3`, expected a boolean");
    assert_snapshot!(refusal("[models.default]\nprovider = \"openai\"\n"), @"yoi.toml:1:9: models.default.model: missing key `model`: name the model that `openai` is to be asked for");
    assert_snapshot!(
        refusal("[models.default]\nprovider = \"openai\"\nmodel = \"m\"\nbase_url = \"localhost\"\n"),
        @"yoi.toml:4:1: models.default.base_url: expected a URL such as `http://127.0.0.1:8000/v1/`"
    );
    assert_snapshot!(
        refusal("[profiles.a]\ncomponent = \"builtin:echo\"\nconfig = { x = [1] }\n"),
        @"yoi.toml:3:16: profiles.a.config.x: invalid type: list, expected a text, a whole number, a finite number, or true or false"
    );
    assert_snapshot!(
        refusal("[profiles.a]\ncomponent = \"builtin:echo\"\nconfig = { x = nan }\n"),
        @"yoi.toml:3:16: profiles.a.config.x: invalid value: floating point `NaN`, expected a text, a whole number, a finite number, or true or false"
    );
    assert_snapshot!(refusal("[profiles.a]\ncomponent = \"./guest.wat\"\n"), @"yoi.toml:2:13: profiles.a.component: not a component: expected `builtin:NAME`, `sha256:` and 64 hexadecimal digits, or the path of a file that ends in `.wasm`");
    assert_snapshot!(refusal("[profiles.a]\ncomponent = \"builtin:Echo\"\n"), @"yoi.toml:2:13: profiles.a.component: not a built-in component: not a valid profile name: use 1 to 63 of a-z, 0-9, `-`, `_` and `.`, starting with a letter or digit");
    assert_snapshot!(
        refusal("[profiles.a]\ncomponent = \"builtin:echo\"\noptional = [\"disk\"]\n"),
        @"yoi.toml:3:13: profiles.a.optional: unknown value `disk`, expected `llm` or `shell`"
    );
    assert_snapshot!(refusal("[profiles.a]\ndescription = \"x\"\n"), @"yoi.toml:1:1: profiles.a: missing key `component`");
    assert_snapshot!(refusal("[policy.companion]\nllm = [\"big\"]\n"), @"yoi.toml:2:1: policy.companion.llm: there is no model `big`, expected one of `default`");
    assert_snapshot!(refusal("[policy.companion]\nllm = \"default\"\n"), @"yoi.toml:2:7: policy.companion.llm: invalid type: string, expected a list");
}

#[test]
fn bad_names_and_bad_toml_name_their_place() {
    assert_snapshot!(refusal("[runtime]\nid = \"My Desk\"\n"), @"yoi.toml:2:6: runtime.id: not a valid runtime id: use 1 to 63 of a-z, 0-9, `-`, `_` and `.`, starting with a letter or digit");
    assert_snapshot!(refusal("[models.Big]\nprovider = \"offline\"\n"), @"yoi.toml:1:9: models.Big: not a valid model alias: use 1 to 63 of a-z, 0-9, `-`, `_` and `.`, starting with a letter or digit");
    assert_snapshot!(refusal("[policy.\"a b\"]\n"), @"yoi.toml:1:9: policy.a b: not a valid profile name: use 1 to 63 of a-z, 0-9, `-`, `_` and `.`, starting with a letter or digit");
    assert_snapshot!(refusal("[server]\nlisten =\n"), @"yoi.toml:2:9: string values must be quoted, expected literal string");
    assert_snapshot!(refusal("[server]\nlisten = \"a\"\nlisten = \"b\"\n"), @"yoi.toml:3:1: duplicate key");
    assert_snapshot!(refusal("# ä\n[server"), @"yoi.toml:2:8: unclosed table, expected `]`");
}

#[test]
fn a_key_in_the_file_is_refused_and_never_repeated() {
    let messages = [
        refusal(
            "[models.default]\nprovider = \"openai\"\nmodel = \"m\"\napi_key = \"sk-sesame\"\n",
        ),
        refusal(
            "[models.default]\nprovider = \"openai\"\nmodel = \"m\"\napi_key_env = \"sk-sesame\"\n",
        ),
        refusal(
            "[models.default]\nprovider = \"openai\"\nmodel = \"m\"\n\
             base_url = \"https://me:sk-sesame@example.com/\"\n",
        ),
    ];
    assert_snapshot!(messages.join("\n"), @r#"
    yoi.toml:4:1: models.default.api_key: a configuration holds no keys: put this one into an environment variable, take it out of the file, and name the variable in `api_key_env`
    yoi.toml:4:15: models.default.api_key_env: not the name of an environment variable: use letters, digits and `_`, such as `OPENAI_API_KEY`, and never the key itself
    yoi.toml:4:1: models.default.base_url: a configuration holds no passwords: take the user out of the URL, and name the variable that holds the key in `api_key_env`
    "#);
    assert!(!messages.concat().contains("sesame"));
}

#[test]
fn a_missing_key_names_its_variable_and_an_empty_one_counts_as_missing() {
    let config = parse(
        "[models.default]\nprovider = \"anthropic\"\nmodel = \"m\"\n\
         [models.local]\nprovider = \"openai\"\nmodel = \"m\"\nbase_url = \"http://127.0.0.1:1/v1/\"\n\
         [models.named]\nprovider = \"openai\"\nmodel = \"m\"\nbase_url = \"http://127.0.0.1:1/v1/\"\n\
         api_key_env = \"MY_KEY\"\n",
    );
    let model = |alias: &str| &config.models[&alias.parse::<ModelAlias>().expect("an alias")];
    let missing = model("default").api_key(|_| Some(" ".into())).expect_err("no key");
    assert_snapshot!(
        missing,
        @"the environment variable `ANTHROPIC_API_KEY`, which is to hold the model's key, is not set"
    );
    // The usual variable's key is the provider's own: it goes nowhere else by itself.
    assert_eq!(model("local").api_key(|_| Some("secret".into())), Ok(None));
    assert_eq!(
        model("named").api_key(|name| (name == "MY_KEY").then(|| "secret".into())),
        Ok(Some("secret".into()))
    );
}

#[test]
fn the_users_file_is_where_xdg_says() {
    let file = |config_home: Option<&str>, home: Option<&str>| {
        let value = |name: &str| match name {
            "XDG_CONFIG_HOME" => config_home.map(OsString::from),
            _ => home.map(OsString::from),
        };
        Config::user_file(value).map(|file| file.display().to_string())
    };
    assert_eq!(file(Some("/c"), Some("/h")).as_deref(), Some("/c/yoi/yoi.toml"));
    assert_eq!(file(None, Some("/h")).as_deref(), Some("/h/.config/yoi/yoi.toml"));
    assert_eq!(file(Some("relative"), Some("/h")).as_deref(), Some("/h/.config/yoi/yoi.toml"));
    assert_eq!(file(None, None), None);
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let error = Config::load(Path::new("/nonexistent/yoi.toml")).expect_err("no such file");
    assert_snapshot!(error, @"failed to read the configuration /nonexistent/yoi.toml");
}

#[cfg(unix)]
#[test]
fn a_file_without_an_end_is_refused() {
    let error = Config::load(Path::new("/dev/zero")).expect_err("no configuration");
    let source = std::error::Error::source(&error).expect("a cause").to_string();
    assert_snapshot!(source, @"it is longer than 1048576 bytes");
}

/// `docs/configuration.md`.
fn page() -> String {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
    std::fs::read_to_string(file).expect("the page of the configuration")
}

/// The keys that a table knows, as the error for one that it does not know lists them.
fn known_keys(text: &str) -> Vec<String> {
    let refusal = refusal(text);
    let (_, expected) = refusal.split_once("expected ").expect("a list of keys");
    expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn the_page_of_the_configuration_has_every_table_and_every_key() {
    let page = page();
    let tables = known_keys("[nothing]\n");
    let unknown = [
        ("runtime", "[runtime]\nnothing = 1\n"),
        ("server", "[server]\nnothing = 1\n"),
        ("roots", "[roots.a]\npath = \"a\"\nnothing = 1\n"),
        ("models", "[models.a]\nprovider = \"offline\"\nnothing = 1\n"),
        ("profiles", "[profiles.a]\ncomponent = \"builtin:echo\"\nnothing = 1\n"),
        ("policy", "[policy.a]\nnothing = 1\n"),
        ("workspaces", "[workspaces.a]\nroot = \"a\"\nnothing = 1\n"),
        ("runtimes", "[[runtimes.remote]]\nid = \"a\"\nendpoint = \"b\"\nnothing = 1\n"),
        ("commands", "[commands.a]\ncomponent = \"a.wasm\"\nnothing = 1\n"),
        ("limits", "[limits]\nnothing = 1\n"),
        ("retention", "[retention]\nnothing = 1\n"),
    ];
    assert_eq!(tables, unknown.map(|(table, _)| table));
    for (table, text) in unknown {
        let section = page
            .split("\n## ")
            .find(|section| section.trim_start_matches(['`', '[']).starts_with(table))
            .unwrap_or_else(|| panic!("the page has no section of [{table}]"));
        let documented: Vec<&str> = section
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
            .collect();
        // Neither less nor more than there is.
        let (mut known, mut documented) = (known_keys(text), documented);
        known.sort_unstable();
        documented.sort_unstable();
        assert_eq!(documented, known, "[{table}]");
    }
}

#[test]
fn the_page_of_the_configuration_has_the_defaults_of_all_limits() {
    let page = page();
    let default = |key: &str| {
        let row = format!("| `{key}` | ");
        let (_, rest) = page.split_once(&row).expect(key);
        rest.split([' ', '|']).next().and_then(|number| number.parse::<u64>().ok())
    };
    let (_, limits) = page.split_once("## `[limits]`").expect("a section");
    let (limits, _) = limits.split_once("\n## ").expect("its end");
    for line in limits.lines().filter(|line| line.starts_with("| `")) {
        let key = line.split('`').nth(1).expect("a key");
        // These depend on the machine.
        if ["live_turns", "memory_total", "open_files"].contains(&key) {
            continue;
        }
        let number = default(key).unwrap_or_else(|| panic!("{key} has no default"));
        let config = parse(&format!("[limits]\n{key} = {number}\n"));
        assert_eq!(config.limits, worker_types::Limits::default(), "{key}");
    }
}

#[test]
fn what_the_page_of_the_configuration_shows_can_be_read() {
    let page = page();
    let examples: Vec<&str> = page
        .split("```toml\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap_or_default())
        .collect();
    assert!(!examples.is_empty());
    for example in examples {
        parse(example);
    }
}

#[test]
fn roots_and_what_is_granted_of_them_fit_together() {
    let docs = "[roots.docs]\npath = \"/srv\"\n";
    let with = |policy: &str| refusal(&format!("{docs}[policy.a]\npreopens = [{policy}]\n"));
    assert_snapshot!(refusal("[roots.scratch]\npath = \"/srv\"\n"), @"yoi.toml:1:8: roots.scratch: `scratch` is each Worker's own private directory: choose another name");
    assert_snapshot!(refusal("[roots.docs]\npath = \"~/docs\"\n"), @"yoi.toml:2:8: roots.docs.path: expected a path, written out without `~`");
    assert_snapshot!(refusal("[roots.docs]\npath = \"/srv\"\naccess = \"write\"\n"), @"yoi.toml:3:10: roots.docs.access: unknown value `write`, expected `read-only` or `read-write`");
    assert_snapshot!(with("{ root = \"dogs\", guest_path = \"/docs\" }"), @"yoi.toml:4:1: policy.a.preopens: there is no root `dogs`, expected one of `docs`, `scratch`");
    assert_snapshot!(with("{ root = \"docs\", guest_path = \"docs\" }"), @"yoi.toml:4:43: policy.a.preopens: a guest path begins with `/`");
    assert_snapshot!(with("{ root = \"docs\", guest_path = \"/docs\", access = \"read-write\" }"), @"yoi.toml:4:1: policy.a.preopens: `.` of root `docs` cannot be granted read-write: the root is read-only");
    assert_snapshot!(with("{ root = \"docs\", path = \"../etc\", guest_path = \"/docs\" }"), @"yoi.toml:4:37: policy.a.preopens: a path of a grant has no `.`, no `..` and no empty names in it");
    assert_snapshot!(with(
        "{ root = \"docs\", guest_path = \"/d\" }, { root = \"scratch\", guest_path = \"/d\" }"
    ), @"yoi.toml:4:1: policy.a.preopens: two preopens have the guest path /d: give each its own");
}

#[test]
fn a_digest_tells_what_a_configuration_means_and_not_how_it_is_written() {
    let digest = |text: &str| parse(text).digest.expect("there is a file");
    let one = "[models.default]\nprovider = \"openai\"\nmodel = \"m\"\napi_key_env = \"KEY\"\n\
               [limits]\nqueue = 3\nworkers = 7\n[roots.a]\npath = \"a\"\n[roots.b]\npath = \"b\"\n";
    let other = "# The same.\n[roots]\nb = { path = \"b\", access = \"read-only\" }\n\
                 a = { path = 'a' }\n[limits]\nworkers = 7 # few\nqueue = 3\n\
                 [models]\ndefault = { api_key_env = \"KEY\", model = \"m\", provider = \"openai\" }\n";
    assert_eq!(digest(one), digest(other));
    let elsewhere = Config::parse(one, "other/place.toml").expect("a configuration");
    assert_eq!(elsewhere.digest, Some(digest(one)), "where the file lies does not matter");
    for (written, changed) in
        [("queue = 3", "queue = 4"), ("\"KEY\"", "\"KEY_2\""), ("\"a\"", "\"c\"")]
    {
        assert_ne!(digest(&one.replace(written, changed)), digest(one), "{changed}");
    }
    let workers = worker_types::Limits::default().workers;
    assert_eq!(digest(&format!("[limits]\nworkers = {workers}\n")), digest(""));
    assert_eq!(Config::default().digest, None);
}

#[test]
fn a_grace_has_a_bound() {
    assert_eq!(parse("[server]\nshutdown_grace_s = 0\n").server.shutdown_grace_s, Some(0));
    assert_snapshot!(refusal("[server]\nshutdown_grace_s = 3601\n"), @"yoi.toml:2:1: server.shutdown_grace_s: expected at most 3600 seconds");
}
