//! Text that comes in pieces of bytes.

/// Reads UTF-8 from pieces that may end within a character. What is no UTF-8 becomes U+FFFD, as
/// with [`String::from_utf8_lossy`] on all of it.
#[derive(Debug, Clone, Default)]
pub struct Decoder {
    /// The beginning of a character: at most three bytes.
    begun: Vec<u8>,
}

impl Decoder {
    /// At a character's beginning.
    #[must_use]
    pub const fn new() -> Self {
        Self { begun: Vec::new() }
    }

    /// The text up to the last whole character.
    pub fn decode(&mut self, piece: &[u8]) -> String {
        let joined;
        let mut rest = if self.begun.is_empty() {
            piece
        } else {
            self.begun.extend_from_slice(piece);
            joined = std::mem::take(&mut self.begun);
            &joined
        };
        let mut text = String::with_capacity(rest.len());
        loop {
            match std::str::from_utf8(rest) {
                Ok(valid) => {
                    text.push_str(valid);
                    return text;
                }
                Err(error) => {
                    let (valid, other) = rest.split_at(error.valid_up_to());
                    text.push_str(&String::from_utf8_lossy(valid));
                    let Some(invalid) = error.error_len() else {
                        self.begun = other.to_vec();
                        return text;
                    };
                    text.push(char::REPLACEMENT_CHARACTER);
                    rest = &other[invalid..];
                }
            }
        }
    }

    /// What a character that was begun and not ended reads as. Call it when nothing follows.
    pub fn finish(&mut self) -> &'static str {
        if std::mem::take(&mut self.begun).is_empty() { "" } else { "\u{fffd}" }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> String {
        let mut decoder = Decoder::new();
        let mut text: String = pieces.into_iter().map(|piece| decoder.decode(piece)).collect();
        text.push_str(decoder.finish());
        text
    }

    #[test]
    fn a_character_may_come_in_pieces() {
        let mut decoder = Decoder::new();
        assert_eq!(decoder.decode(b"a\xe2\x82"), "a");
        assert_eq!(decoder.decode(b"\xac\xf0\x9f"), "€");
        assert_eq!(decoder.decode(b"x"), "\u{fffd}x");
        assert_eq!(decoder.decode(b"\xf0\x9f\x98"), "");
        assert_eq!(decoder.finish(), "\u{fffd}");
        assert_eq!(decoder.finish(), "");
    }

    proptest! {
        #[test]
        fn pieces_read_like_the_whole(
            bytes in prop_oneof![any::<Vec<u8>>(), ".*".prop_map(String::into_bytes)],
            size in 1_usize..9,
        ) {
            prop_assert_eq!(decode(bytes.chunks(size)), String::from_utf8_lossy(&bytes));
        }
    }
}
