//! Events as they come. A connection that breaks is taken up again behind the last event that came.

use std::{collections::VecDeque, time::Duration};

use reqwest::{Method, Response};
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use worker_types::{Cursor, Event, EventBody, FeedCursor, LiveEvent, WorkerId};

use crate::{ClientError, RuntimeClient, SseEvent, SseParser, client::MAX_REFUSAL_BYTES};

/// The longest silence of a stream that is well: the server sends a heartbeat every 15 seconds.
const SILENCE: Duration = Duration::from_secs(40);

/// What may come without an event among it: hundreds of thousands of heartbeats.
const MOST_QUIET_BYTES: usize = 1 << 20;

/// How long the first pause is after a connection broke, and the longest: each is twice the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How often in a row it is tried by default: some half a minute.
pub(crate) const STREAM_TRIES: u32 = 10;

/// A Worker's events. See `worker_runtime::Events`.
#[derive(Debug)]
pub struct RemoteEvents {
    stream: Stream,
    cursor: Cursor,
}

impl RemoteEvents {
    pub(crate) async fn open(
        client: RuntimeClient,
        id: WorkerId,
        after: Cursor,
    ) -> Result<Self, ClientError> {
        let path = vec!["workers".to_owned(), id.to_string(), "events".to_owned()];
        Ok(Self { stream: Stream::open(client, path, after.to_string()).await?, cursor: after })
    }

    /// Waits for the next event; `None` after that of the Worker's deletion. An error is the last that comes:
    /// `CursorGap` where what follows the cursor was removed, `UnknownWorker` where all of it was, or what
    /// keeps the Runtime from being reached.
    ///
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Result<LiveEvent, ClientError>> {
        let message = match self.stream.next().await? {
            Ok(message) => message,
            Err(error) => return Some(Err(error)),
        };
        let event = match message.name.as_deref() {
            Some("item.delta") => read(&message).map(LiveEvent::Delta),
            Some("item.snapshot") => read(&message).map(LiveEvent::Snapshot),
            _ => self.durable(&message).map(LiveEvent::Durable),
        };
        // What cannot be read is not passed over.
        self.stream.is_over |= event.is_err();
        Some(event)
    }

    fn durable(&mut self, message: &SseEvent) -> Result<Event, ClientError> {
        let event: Event = read(message)?;
        self.cursor = place(message)?;
        // Nothing follows, and nobody is to be asked for it again.
        self.stream.is_over |= event.body == EventBody::WorkerDeleted;
        Ok(event)
    }

    /// The place after the last durable event that `next` gave.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        self.cursor
    }
}

/// The feed of a Runtime. See `worker_runtime::Feed`.
#[derive(Debug)]
pub struct RemoteFeed {
    stream: Stream,
    cursor: FeedCursor,
}

impl RemoteFeed {
    pub(crate) async fn open(
        client: RuntimeClient,
        after: FeedCursor,
    ) -> Result<Self, ClientError> {
        let stream = Stream::open(client, vec!["events".to_owned()], after.to_string()).await?;
        Ok(Self { stream, cursor: after })
    }

    /// Waits for the next event. Of what is damaged an error tells once, and what follows is given after it; any
    /// other error is the last that comes.
    ///
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Result<Event, ClientError>> {
        let message = match self.stream.next().await? {
            Ok(message) => message,
            Err(error) => {
                self.cursor = self.stream.after.parse().unwrap_or(self.cursor);
                return Some(Err(error));
            }
        };
        let event = read(&message).and_then(|event| {
            self.cursor = place(&message)?;
            Ok(event)
        });
        // What cannot be read is not passed over.
        self.stream.is_over |= event.is_err();
        Some(event)
    }

    /// The place after the last event that `next` gave.
    #[must_use]
    pub fn cursor(&self) -> FeedCursor {
        self.cursor
    }
}

fn read<T: DeserializeOwned>(message: &SseEvent) -> Result<T, ClientError> {
    serde_json::from_str(&message.data)
        .map_err(|error| ClientError::Answer { what: error.to_string() })
}

fn place<C: std::str::FromStr>(message: &SseEvent) -> Result<C, ClientError> {
    let place = message.id.as_deref().and_then(|id| id.parse().ok());
    place.ok_or_else(|| ClientError::Answer { what: "an event without its place".to_owned() })
}

/// The messages of an address.
#[derive(Debug)]
struct Stream {
    client: RuntimeClient,
    path: Vec<String>,
    /// The last place that a message named.
    after: String,
    response: Option<Response>,
    parser: SseParser,
    ready: VecDeque<SseEvent>,
    /// When something came last.
    heard_at: Instant,
    /// What has come since the last event, where no event is on its way.
    quiet_bytes: usize,
    /// Connections in a row on which nothing came.
    failures: u32,
    /// Not before then is there to be another.
    retry_at: Option<Instant>,
    is_over: bool,
}

impl Stream {
    async fn open(
        client: RuntimeClient,
        path: Vec<String>,
        after: String,
    ) -> Result<Self, ClientError> {
        let mut stream = Self {
            client,
            path,
            after,
            response: None,
            parser: SseParser::default(),
            ready: VecDeque::new(),
            heard_at: Instant::now(),
            quiet_bytes: 0,
            failures: 0,
            retry_at: None,
            is_over: false,
        };
        stream.connect().await?;
        Ok(stream)
    }

    async fn next(&mut self) -> Option<Result<SseEvent, ClientError>> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                if message.name.as_deref() == Some("problem") {
                    if let Some(error) = self.problem(&message) {
                        return Some(Err(error));
                    }
                    continue;
                }
                if let Some(id) = &message.id {
                    self.after.clone_from(id);
                }
                return Some(Ok(message));
            }
            if self.is_over {
                return None;
            }
            let done = match &self.response {
                Some(_) => self.receive().await,
                None => self.connect().await,
            };
            if let Err(error) = done
                && let Some(error) = self.failed(error)
            {
                return Some(Err(error));
            }
        }
    }

    /// What the Runtime says went wrong, if somebody is to hear of it.
    fn problem(&mut self, message: &SseEvent) -> Option<ClientError> {
        let text = message.data.as_bytes();
        let error = if text.len() > MAX_REFUSAL_BYTES {
            ClientError::Answer { what: "a problem that is too long".to_owned() }
        } else {
            ClientError::read(200, text)
        };
        match &message.id {
            // It knows where to go on from, and does.
            Some(id) if *id != self.after => {
                self.after.clone_from(id);
                Some(error)
            }
            _ => {
                self.ready.clear();
                self.failed(error)
            }
        }
    }

    async fn connect(&mut self) -> Result<(), ClientError> {
        if let Some(at) = self.retry_at {
            tokio::time::sleep_until(at).await;
        }
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        let request = self.client.request(Method::GET, &path, &[("after", &self.after)]);
        self.response = Some(self.client.stream(request).await?);
        self.parser = SseParser::default();
        self.heard_at = Instant::now();
        self.quiet_bytes = 0;
        Ok(())
    }

    /// Takes the next piece of the connection.
    async fn receive(&mut self) -> Result<(), ClientError> {
        let Some(response) = &mut self.response else { return Ok(()) };
        let piece = match tokio::time::timeout_at(self.heard_at + SILENCE, response.chunk()).await {
            Ok(Ok(Some(piece))) => piece,
            Ok(Err(error)) => return Err(ClientError::of(error)),
            // It ended, or is dead.
            Ok(Ok(None)) | Err(_) => return Err(ClientError::Silent),
        };
        self.heard_at = Instant::now();
        self.failures = 0;
        let mut messages = Vec::new();
        let pushed = self.parser.push(&piece, &mut messages);
        let is_quiet = messages.is_empty() && self.parser.is_between_events();
        self.quiet_bytes = if is_quiet { self.quiet_bytes + piece.len() } else { 0 };
        self.ready.extend(messages);
        pushed.map_err(|error| ClientError::Answer { what: error.to_string() })?;
        if self.quiet_bytes > MOST_QUIET_BYTES {
            return Err(ClientError::Answer { what: "a stream that says nothing".to_owned() });
        }
        Ok(())
    }

    /// Says when to try again; the error, where that is never.
    fn failed(&mut self, error: ClientError) -> Option<ClientError> {
        self.response = None;
        self.failures += 1;
        if !error.is_retryable() || self.failures > self.client.stream_tries {
            self.is_over = true;
            return Some(error);
        }
        let pause = FIRST_PAUSE.saturating_mul(1 << (self.failures - 1).min(16));
        self.retry_at = Some(Instant::now() + pause.min(LONGEST_PAUSE));
        None
    }
}
