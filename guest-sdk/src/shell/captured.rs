//! The beginning and the end of what may be long.

use std::{collections::VecDeque, fmt};

/// Bytes of which the first and the last are kept, half of the limit each; what lies between is
/// counted.
#[derive(Clone, PartialEq, Eq)]
pub struct Captured {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    limit: usize,
    cut: u64,
}

impl Captured {
    /// Nothing yet, of which `limit` bytes will be kept.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self { head: Vec::new(), tail: VecDeque::new(), limit, cut: 0 }
    }

    /// And these bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        let room = (self.limit - self.limit / 2).saturating_sub(self.head.len());
        let (head, tail) = bytes.split_at(room.min(bytes.len()));
        self.head.extend_from_slice(head);

        let room = self.limit / 2;
        let kept = &tail[tail.len().saturating_sub(room)..];
        let gone = (self.tail.len() + kept.len()).saturating_sub(room);
        self.tail.drain(..gone);
        self.tail.extend(kept);
        self.cut += (gone + tail.len() - kept.len()) as u64;
    }

    /// How many bytes are missing between the beginning and the end.
    #[must_use]
    pub const fn cut(&self) -> u64 {
        self.cut
    }

    /// What is kept, without a mark where bytes are missing.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.head.clone();
        bytes.extend(&self.tail);
        bytes
    }

    /// What is kept as text, with U+FFFD for what is no UTF-8. Where bytes are missing a line of
    /// its own says how many; characters that the cut would have split are among them.
    #[must_use]
    pub fn text(&self) -> String {
        if self.cut == 0 {
            return String::from_utf8_lossy(&self.bytes()).into_owned();
        }
        let head = &self.head[..self.head.len() - begun_character(&self.head)];
        let tail: Vec<u8> = self.tail.iter().copied().collect();
        let tail = &tail[continued_character(&tail)..];
        let kept = head.len() + tail.len();
        let cut = self.cut + (self.head.len() + self.tail.len() - kept) as u64;
        let head = String::from_utf8_lossy(head);
        let line_end = if head.is_empty() || head.ends_with('\n') { "" } else { "\n" };
        format!("{head}{line_end}[{cut} bytes cut]\n{}", String::from_utf8_lossy(tail))
    }
}

/// Its sizes: what a script wrote may be long, or secret.
impl fmt::Debug for Captured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Captured")
            .field("kept", &(self.head.len() + self.tail.len()))
            .field("cut", &self.cut)
            .finish_non_exhaustive()
    }
}

/// How many bytes at the end begin a character without ending it.
fn begun_character(bytes: &[u8]) -> usize {
    let last = &bytes[bytes.len().saturating_sub(3)..];
    (0..last.len())
        .find_map(|start| {
            let error = std::str::from_utf8(&last[start..]).err()?;
            let begun = error.valid_up_to() == 0 && error.error_len().is_none();
            begun.then_some(last.len() - start)
        })
        .unwrap_or(0)
}

/// How many bytes at the beginning continue a character that began before: at most three.
fn continued_character(bytes: &[u8]) -> usize {
    let continues = |byte: &&u8| **byte & 0b1100_0000 == 0b1000_0000;
    bytes.iter().take(3).take_while(continues).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn capture(limit: usize, pieces: &[&[u8]]) -> Captured {
        let mut captured = Captured::new(limit);
        for piece in pieces {
            captured.push(piece);
        }
        captured
    }

    #[test]
    fn keeps_the_beginning_and_the_end() {
        let captured = capture(6, &[b"ab", b"cd", b"efgh", b"i"]);
        assert_eq!((captured.bytes().as_slice(), captured.cut()), (&b"abcghi"[..], 3));
        assert_eq!(captured.text(), "abc\n[3 bytes cut]\nghi");
    }

    #[test]
    fn what_fits_is_whole() {
        let captured = capture(6, &[b"abc", b"def"]);
        assert_eq!((captured.text().as_str(), captured.cut()), ("abcdef", 0));
        assert_eq!(capture(0, &[b"abc"]).text(), "[3 bytes cut]\n");
    }

    #[test]
    fn a_cut_splits_no_character() {
        let captured = capture(8, &["ab€€€€yz".as_bytes()]);
        assert_eq!(captured.text(), "ab\n[12 bytes cut]\nyz");
    }

    proptest! {
        #[test]
        fn every_byte_is_kept_or_counted(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..9),
            limit in 0_usize..40,
        ) {
            let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
            let whole = pieces.concat();
            let captured = capture(limit, &pieces);
            let kept = captured.bytes();
            prop_assert_eq!(kept.len(), whole.len().min(limit));
            prop_assert_eq!(captured.cut(), (whole.len() - kept.len()) as u64);
            let head = kept.len().min(limit - limit / 2);
            prop_assert_eq!(&kept[..head], &whole[..head]);
            prop_assert_eq!(&kept[head..], &whole[whole.len() - (kept.len() - head)..]);
        }

        #[test]
        fn text_stays_text(text in ".*", limit in 0_usize..40) {
            let captured = capture(limit, &[text.as_bytes()]);
            let marked = |text: &str| text.contains(char::REPLACEMENT_CHARACTER);
            prop_assert!(marked(&text) || !marked(&captured.text()));
        }
    }
}
