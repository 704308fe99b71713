//! Text as tools show it.

use std::borrow::Cow;

/// Bytes at the beginning of a file by which it is told whether it is text. As git does it: text
/// has no zero byte there.
const SAMPLE_BYTES: usize = 8000;

/// Whether these are the bytes of something else than text.
pub(super) fn is_binary(bytes: &[u8]) -> bool {
    bytes[..bytes.len().min(SAMPLE_BYTES)].contains(&0)
}

/// The beginning of `text` in at most `limit` bytes, and how many bytes follow. It ends between two
/// characters.
pub(super) fn cut(text: &str, limit: usize) -> (&str, usize) {
    let end = text.floor_char_boundary(limit);
    (&text[..end], text.len() - end)
}

/// A line with a word on what is cut of it. `length` is that of the whole line, of which `bytes`
/// may be only a beginning.
pub(super) fn shown_line(bytes: &[u8], length: usize, limit: usize) -> String {
    let text = String::from_utf8_lossy(bytes);
    if length <= limit {
        return text.into_owned();
    }
    let (shown, _) = cut(&text, limit);
    format!("{shown}… [{length} bytes in this line]")
}

/// A line without its end.
pub(super) fn without_line_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// The lines of a text, their ends included.
pub(super) fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split_inclusive(|byte| *byte == b'\n')
}

/// `1 line`, `2 lines`.
pub(super) fn count(number: usize, one: &str) -> Cow<'static, str> {
    let plural = if number == 1 {
        ""
    } else if one.ends_with("ch") {
        "es"
    } else {
        "s"
    };
    format!("{number} {one}{plural}").into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_long_line_says_how_long_it_is() {
        assert_eq!(shown_line("aé".as_bytes(), 3, 3), "aé");
        assert_eq!(shown_line("aéx".as_bytes(), 900, 2), "a… [900 bytes in this line]");
    }

    #[test]
    fn counts_have_a_plural() {
        assert_eq!(count(1, "match"), "1 match");
        assert_eq!(count(2, "match"), "2 matches");
        assert_eq!(count(0, "line"), "0 lines");
    }

    proptest! {
        #[test]
        fn a_cut_loses_nothing_and_splits_nothing(text in ".*", limit in 0_usize..30) {
            let (shown, more) = cut(&text, limit);
            prop_assert!(shown.len() <= limit && text.starts_with(shown));
            prop_assert_eq!(shown.len() + more, text.len());
            prop_assert!(more == 0 || limit - shown.len() < 4);
        }

        #[test]
        fn lines_are_the_whole(bytes: Vec<u8>) {
            prop_assert_eq!(lines(&bytes).collect::<Vec<_>>().concat(), bytes);
        }
    }
}
