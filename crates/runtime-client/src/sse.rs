//! Reads a stream of server-sent events, as the HTML standard describes it.

/// The longest event that is kept. The server sends items of at most 1 MiB by default; this leaves
/// room for what JSON adds and for limits that an operator raised.
const MAX_EVENT_BYTES: usize = 64 << 20;

/// The longest id and the longest name: many times those of the server. Each event has a copy of the id.
const MAX_NAME_BYTES: usize = 1 << 10;

/// One event of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SseEvent {
    /// The last id that the stream named, with this event or before it.
    pub id: Option<String>,
    /// Its kind; absent where the stream named none.
    pub name: Option<String>,
    /// What it says.
    pub data: String,
}

/// An event, its id or its name is longer than anything the server sends.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "an event of the stream is longer than {MAX_EVENT_BYTES} bytes, or its id or name than {MAX_NAME_BYTES}"
)]
pub struct EventTooLongError;

/// Turns pieces of bytes into events.
#[derive(Debug, Default)]
pub struct SseParser {
    /// What has come of the line that is not complete yet.
    line: Vec<u8>,
    /// Whether the last byte was a carriage return, which a line feed may follow.
    after_return: bool,
    data: Option<String>,
    name: Option<String>,
    id: Option<String>,
}

impl SseParser {
    /// Takes the next piece, and adds the events it completes to `events`.
    pub fn push(
        &mut self,
        piece: &[u8],
        events: &mut Vec<SseEvent>,
    ) -> Result<(), EventTooLongError> {
        for &byte in piece {
            match byte {
                b'\n' if self.after_return => self.after_return = false,
                b'\n' | b'\r' => {
                    self.after_return = byte == b'\r';
                    let line = std::mem::take(&mut self.line);
                    events.extend(self.end_line(&String::from_utf8_lossy(&line))?);
                }
                _ => {
                    self.after_return = false;
                    self.line.push(byte);
                }
            }
            if self.line.len() + self.data.as_ref().map_or(0, String::len) > MAX_EVENT_BYTES {
                return Err(EventTooLongError);
            }
        }
        Ok(())
    }

    /// Whether nothing of an event has come since the last one.
    pub(crate) fn is_between_events(&self) -> bool {
        self.data.is_none() && self.name.is_none() && !self.line.starts_with(b"data")
    }

    fn end_line(&mut self, line: &str) -> Result<Option<SseEvent>, EventTooLongError> {
        if line.is_empty() {
            let (name, data) = (self.name.take(), self.data.take());
            return Ok(data.map(|data| SseEvent { id: self.id.clone(), name, data }));
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.data = Some(value.to_owned()),
            },
            "id" | "event" if value.len() > MAX_NAME_BYTES => return Err(EventTooLongError),
            "id" if !value.contains('\0') => self.id = Some(value.to_owned()),
            "event" => self.name = Some(value.to_owned()),
            // A line that begins with a colon is a heartbeat.
            _ => {}
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(pieces: &[&[u8]]) -> Vec<SseEvent> {
        let (mut parser, mut events) = (SseParser::default(), Vec::new());
        for piece in pieces {
            parser.push(piece, &mut events).expect("short events");
        }
        events
    }

    #[test]
    fn events_are_the_same_however_the_bytes_are_cut() {
        let stream = "\u{1f642}: beat\r\n\r\nid: a.1\nevent: x\ndata: {\"a\":\ndata: \"ä\"}\n\n:\n\
                      data:b\r\rdata\n\nid: a.2\ndata: last\r\n\r\ndata: unfinished\n";
        let event = |id: &str, name: Option<&str>, data: &str| SseEvent {
            id: Some(id.into()),
            name: name.map(str::to_owned),
            data: data.into(),
        };
        let expected = [
            event("a.1", Some("x"), "{\"a\":\n\"ä\"}"),
            event("a.1", None, "b"),
            event("a.1", None, ""),
            event("a.2", None, "last"),
        ];
        assert_eq!(events(&[stream.as_bytes()]), expected);
        let bytes: Vec<&[u8]> = stream.as_bytes().chunks(1).collect();
        assert_eq!(events(&bytes), expected);
    }

    #[test]
    fn a_line_without_an_end_is_refused_before_it_fills_the_memory() {
        let mut parser = SseParser::default();
        let piece = vec![b'x'; MAX_EVENT_BYTES + 1];
        assert_eq!(parser.push(&piece, &mut Vec::new()), Err(EventTooLongError));
    }

    #[test]
    fn an_id_or_name_of_which_each_event_would_have_a_long_copy_is_refused() {
        for field in ["id", "event"] {
            let line = |bytes| format!("{field}: {}\n", "x".repeat(bytes));
            let push = |line: String| SseParser::default().push(line.as_bytes(), &mut Vec::new());
            assert_eq!(push(line(MAX_NAME_BYTES)), Ok(()));
            assert_eq!(push(line(MAX_NAME_BYTES + 1)), Err(EventTooLongError));
        }
    }
}
