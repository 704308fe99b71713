//! Where the token of a remote Runtime is: what requests and definitions say instead of the token.

use std::{
    env, fmt, fs, io,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::Path,
};

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize, de};
use utoipa::ToSchema;

/// How the names of variables begin that a request may name: whoever is signed in could else send any secret
/// of the Backend's environment to any address.
const TOKEN_VARIABLES: &str = "YOI_TOKEN_";

/// The longest token that is read from a file.
const MOST_TOKEN_BYTES: u64 = 4_096;

/// Where a token is. The token itself crosses no API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TokenPlace {
    /// In this variable of the Backend's environment; its name begins with `YOI_TOKEN_`.
    Env(String),
    /// In the file of this name in `tokens/` of the Backend's data directory; for its owner only.
    File(String),
}

impl<'de> Deserialize<'de> for TokenPlace {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TokenPlaceVisitor)
    }
}

/// Says what is expected and never what was found: somebody may have written the token itself.
struct TokenPlaceVisitor;

impl<'de> de::Visitor<'de> for TokenPlaceVisitor {
    type Value = TokenPlace;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`env` or `file` with a name, and never the token itself")
    }

    fn visit_str<E: de::Error>(self, _: &str) -> Result<Self::Value, E> {
        Err(E::custom(format_args!("expected {}", &self as &dyn de::Expected)))
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let unexpected =
            || de::Error::custom(format_args!("expected {}", &self as &dyn de::Expected));
        let place = match map.next_entry::<String, String>()? {
            Some((key, name)) if key == "env" => TokenPlace::Env(name),
            Some((key, name)) if key == "file" => TokenPlace::File(name),
            Some(_) | None => return Err(unexpected()),
        };
        match map.next_key::<de::IgnoredAny>()? {
            None => Ok(place),
            Some(_) => Err(unexpected()),
        }
    }
}

impl TokenPlace {
    /// The token. Files are those in `directory`. This waits for the disk.
    ///
    /// # Errors
    ///
    /// Why there is none that may be used, for who can mend it.
    pub(crate) fn read(&self, directory: &Path) -> Result<String, String> {
        match self {
            Self::Env(name) if !name.starts_with(TOKEN_VARIABLES) => Err(format!(
                "the name of a variable that holds a token begins with `{TOKEN_VARIABLES}`"
            )),
            Self::Env(name) => env::var(name)
                .map_err(|_| format!("the Backend's environment has no variable `{name}`")),
            Self::File(name) if !is_bare(name) => {
                Err("the name of a token's file has letters, digits, `.`, `_` and `-` only"
                    .to_owned())
            }
            Self::File(name) => read_token(&directory.join(name))
                .map_err(|reason| format!("the token in `tokens/{name}`: {reason}")),
        }
    }
}

fn is_bare(name: &str) -> bool {
    let is_usual = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    !name.is_empty() && !name.starts_with('.') && name.bytes().all(is_usual)
}

/// What is in a token's file, if its owner alone can read it.
///
/// # Errors
///
/// What is wrong with the file, for who can mend it.
pub fn read_token(path: &Path) -> Result<String, String> {
    let file = fs::OpenOptions::new()
        .read(true)
        // Not what a link leads to, and no pipe that never ends.
        .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed())
        .open(path)
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => "there is no such file".to_owned(),
            kind => kind.to_string(),
        })?;
    let metadata = file.metadata().map_err(|error| error.kind().to_string())?;
    if !metadata.is_file() || metadata.len() > MOST_TOKEN_BYTES {
        return Err("it is no file with a token".to_owned());
    }
    if metadata.mode() & 0o077 != 0 {
        return Err("others can read the file: `chmod 600` it".to_owned());
    }
    let text = io::read_to_string(file).map_err(|error| error.kind().to_string())?;
    let token = text.trim();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("a token is one line of visible characters".to_owned());
    }
    Ok(token.to_owned())
}
