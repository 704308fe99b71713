//! The tokens that a server lets in: those of their file as it is now.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http_api::{FileStamp, SecretDigest};
use jiff::Timestamp;
use worker_types::RuntimeError;

use crate::{TokenFile, TokenFileError, TokenRecord};

/// How often it is looked whether the token of an open event stream is still there.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// The file of tokens cannot be used, so it is not known who may be let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("its file of tokens cannot be used, and its log says why")]
pub(crate) struct TokensUnusable;

impl From<TokensUnusable> for RuntimeError {
    fn from(unusable: TokensUnusable) -> Self {
        Self::RuntimeUnavailable { reason: unusable.to_string() }
    }
}

type Read = Result<Arc<[Arc<TokenRecord>]>, TokensUnusable>;

/// The tokens that a server lets in.
#[derive(Debug)]
pub(crate) struct Tokens {
    file: TokenFile,
    known: Mutex<Known>,
    /// Held while the file is read, so that many who ask at once read it once, and take one thread.
    reading: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Known {
    /// Of the content that `read` came of; absent where it is to be read again in any case.
    stamp: Option<FileStamp>,
    read: Option<Read>,
    /// The content of which it was said that it is of no use.
    complained_of: Option<Option<FileStamp>>,
}

impl Tokens {
    pub(crate) fn new(file: TokenFile) -> Self {
        Self { file, known: Mutex::default(), reading: tokio::sync::Mutex::default() }
    }

    /// Whoever `token` belongs to.
    pub(crate) async fn find(
        self: &Arc<Self>,
        token: &str,
        now: Timestamp,
    ) -> Result<Option<Arc<TokenRecord>>, TokensUnusable> {
        let digest = SecretDigest::of(token);
        self.find_by(|known| known.digest.matches(&digest), now).await
    }

    /// Whether anybody is let in. This waits for the disk.
    pub(crate) fn any(&self, now: Timestamp) -> Result<bool, TokenFileError> {
        Ok(self.file.list()?.iter().any(|token| !token.is_expired(now)))
    }

    /// Ends when the token is good for nothing any more: at its end, or some seconds after it was removed, or
    /// after nobody can say any more whether it was.
    pub(crate) fn until_gone(
        self: &Arc<Self>,
        token: &Arc<TokenRecord>,
    ) -> impl Future<Output = ()> + Send + 'static {
        let (tokens, token) = (Arc::clone(self), Arc::clone(token));
        async move {
            let is_there = async || {
                let found = tokens.find_by(|known| known.id == token.id, Timestamp::now()).await;
                matches!(found, Ok(Some(_)))
            };
            while is_there().await {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        }
    }

    async fn find_by(
        self: &Arc<Self>,
        is_wanted: impl Fn(&TokenRecord) -> bool,
        now: Timestamp,
    ) -> Result<Option<Arc<TokenRecord>>, TokensUnusable> {
        let tokens = match self.unchanged() {
            Some(read) => read?,
            None => self.read_where_it_may_take_long().await?,
        };
        let found = tokens.iter().find(|known| is_wanted(known));
        Ok(found.filter(|found| !found.is_expired(now)).cloned())
    }

    /// What was read, if that is still what the file has. Asks the system whether it has changed, which takes a
    /// microsecond.
    fn unchanged(&self) -> Option<Read> {
        let stamp = self.file.file.stamp();
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if stamp.is_some() && stamp == known.stamp { known.read.clone() } else { None }
    }

    async fn read_where_it_may_take_long(self: &Arc<Self>) -> Read {
        let _reading = self.reading.lock().await;
        if let Some(read) = self.unchanged() {
            return read;
        }
        let tokens = Arc::clone(self);
        let read = tokio::task::spawn_blocking(move || tokens.read_anew()).await;
        // It was cut off, with the whole process.
        read.unwrap_or(Err(TokensUnusable))
    }

    /// Reads the file. One that cannot be used lets nobody in, which is logged once for each content.
    fn read_anew(&self) -> Read {
        // Before it is read: of what changes meanwhile, the next request finds another stamp.
        let stamp = self.file.file.stamp();
        let listed = self.file.list();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let error = match listed {
            Ok(tokens) => {
                let read = Ok(tokens.into_iter().map(Arc::new).collect());
                *known = Known { stamp, read: Some(Read::clone(&read)), complained_of: None };
                return read;
            }
            Err(error) => error,
        };
        if known.complained_of != Some(stamp) {
            let error: &dyn std::error::Error = &error;
            tracing::error!(error, "the file of tokens lets nobody in");
        }
        // What the system refuses may be granted the next time, without any change of the file.
        let is_lasting = !matches!(error, TokenFileError::Io(_));
        *known = Known {
            stamp: stamp.filter(|_| is_lasting),
            read: Some(Err(TokensUnusable)),
            complained_of: Some(stamp),
        };
        Err(TokensUnusable)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{NewToken, Scope};

    fn file() -> (tempfile::TempDir, TokenFile) {
        let dir = tempfile::tempdir().expect("a directory");
        let file = TokenFile::new(dir.path().join("tokens.json"));
        (dir, file)
    }

    fn observer() -> NewToken {
        NewToken { scopes: [Scope::Observe].into(), ..NewToken::default() }
    }

    fn tokens(file: &TokenFile) -> Arc<Tokens> {
        Arc::new(Tokens::new(file.clone()))
    }

    async fn is_found(tokens: &Arc<Tokens>, token: &str) -> Result<bool, TokensUnusable> {
        tokens.find(token, Timestamp::now()).await.map(|found| found.is_some())
    }

    #[tokio::test]
    async fn a_token_counts_from_the_moment_it_is_made_until_it_is_removed() {
        let (_dir, file) = file();
        let tokens = tokens(&file);
        assert_eq!(is_found(&tokens, "").await, Ok(false));
        let (record, secret) = file.add(observer()).expect("made");
        let found = tokens.find(secret.reveal(), Timestamp::now()).await.expect("a file");
        assert_eq!(found.expect("found").id, record.id);
        assert_eq!(is_found(&tokens, record.id.as_str()).await, Ok(false));
        assert!(file.remove(record.id.as_str()).expect("removed"));
        assert!(!file.remove(record.id.as_str()).expect("nothing to remove"));
        assert_eq!(is_found(&tokens, secret.reveal()).await, Ok(false));
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_for_the_end_of_a_token_ends_with_it() {
        let (_dir, file) = file();
        let tokens = tokens(&file);
        let (record, secret) = file.add(observer()).expect("made");
        let token = tokens.find(secret.reveal(), Timestamp::now()).await.expect("a file");
        let gone = tokens.until_gone(&token.expect("found"));
        let day = Duration::from_secs(86_400);
        let mut gone = std::pin::pin!(gone);
        assert!(tokio::time::timeout(day, &mut gone).await.is_err(), "it is still there");
        file.remove(record.id.as_str()).expect("removed");
        tokio::time::timeout(LOOK_AGAIN * 2, gone).await.expect("it is gone");
    }

    #[tokio::test]
    async fn an_expired_token_is_good_for_nothing() {
        let (_dir, file) = file();
        let tokens = tokens(&file);
        let end = Timestamp::now();
        let token = NewToken { expires_at: Some(end), ..observer() };
        let (_, secret) = file.add(token).expect("made");
        let second = jiff::SignedDuration::from_secs(1);
        let found = async |now| tokens.find(secret.reveal(), now).await.expect("a file").is_some();
        assert!(found(end - second).await);
        assert!(!found(end).await);
        assert!(!tokens.any(end).expect("a file"));
        // Whatever order they were made in.
        file.add(observer()).expect("made");
        assert!(tokens.any(end).expect("a file"));
    }

    /// Asks five times, as requests do, and counts what is logged of it.
    fn asked_again_and_again(tokens: &Tokens) -> (Vec<bool>, usize) {
        use std::io::Read as _;

        let (mut log, writer) = std::io::pipe().expect("a pipe");
        let subscriber =
            tracing_subscriber::fmt().with_ansi(false).with_writer(Arc::new(writer)).finish();
        let read = tracing::subscriber::with_default(subscriber, || {
            let read = || tokens.unchanged().unwrap_or_else(|| tokens.read_anew());
            (0..5).map(|_| read().is_ok()).collect()
        });
        let mut text = String::new();
        log.read_to_string(&mut text).expect("text");
        (read, text.matches("lets nobody in").count())
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_cannot_be_used_is_no_list_of_tokens_and_is_logged_once_per_change() {
        use std::os::unix::fs::PermissionsExt as _;

        let (dir, file) = file();
        let path = dir.path().join("tokens.json");
        file.add(observer()).expect("made");
        let good = fs::read_to_string(&path).expect("text");
        let tokens = tokens(&file);
        let mode = |mode| {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("its mode");
        };
        let (usable, unusable) = ((vec![true; 5], 0), (vec![false; 5], 1));
        assert_eq!(asked_again_and_again(&tokens), usable);
        mode(0o640);
        assert_eq!(asked_again_and_again(&tokens), unusable);
        mode(0o600);
        assert_eq!(asked_again_and_again(&tokens), usable, "it was mended");
        fs::write(&path, "{\"tokens\": 7}").expect("written");
        assert_eq!(asked_again_and_again(&tokens), unusable);
        fs::write(&path, "{\"tokens\": 8.0}").expect("written");
        assert_eq!(asked_again_and_again(&tokens), unusable, "it is broken in another way");
        assert!(tokens.unchanged().is_some(), "it is not read again until it changes");
        fs::remove_file(&path).expect("removed");
        fs::create_dir(&path).expect("a directory");
        mode(0o700);
        assert_eq!(asked_again_and_again(&tokens), unusable, "what is read again is said once");
        assert!(tokens.unchanged().is_none(), "the system may let it be read the next time");
        fs::remove_dir(&path).expect("removed");
        fs::write(&path, good).expect("written");
        mode(0o600);
        assert_eq!(asked_again_and_again(&tokens), usable);
    }
}
