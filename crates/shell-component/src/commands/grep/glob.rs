//! Names with wildcards, for `--include` and its kin.

/// A name with wildcards. `*` matches slashes too, as it does for grep.
#[derive(Debug, Clone)]
pub(super) struct Glob(Option<regex::Regex>);

impl Glob {
    pub(super) fn new(glob: &str) -> Self {
        let mut pattern = String::from("(?s)^");
        let mut letters = glob.chars().peekable();
        while let Some(letter) = letters.next() {
            match letter {
                '*' => pattern.push_str(".*"),
                '?' => pattern.push('.'),
                '\\' => {
                    pattern.push_str(&regex::escape(&letters.next().unwrap_or('\\').to_string()))
                }
                '[' => {
                    let rest: String = letters.clone().collect();
                    let begin = rest.strip_prefix(['!', '^']).map_or(0, |_| 1);
                    // A bracket right at the beginning is one of the characters.
                    let end =
                        rest.char_indices().skip(begin + 1).find(|(_, letter)| *letter == ']');
                    let Some((end, _)) = end else {
                        pattern.push_str("\\[");
                        continue;
                    };
                    pattern.push('[');
                    if begin == 1 {
                        pattern.push('^');
                    }
                    for letter in rest[begin..end].chars() {
                        if letter.is_ascii_punctuation() && letter != '-' {
                            pattern.push('\\');
                        }
                        pattern.push(letter);
                    }
                    pattern.push(']');
                    letters.by_ref().take(rest[..=end].chars().count()).for_each(drop);
                }
                other => pattern.push_str(&regex::escape(&other.to_string())),
            }
        }
        pattern.push('$');
        Self(regex::Regex::new(&pattern).ok())
    }

    pub(super) fn matches(&self, name: &str) -> bool {
        self.0.as_ref().is_some_and(|pattern| pattern.is_match(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_match_what_they_match_in_a_shell() {
        for (glob, name, matches) in [
            ("*.rs", "lib.rs", true),
            ("*.rs", "lib.rsx", false),
            ("a?c", "abc", true),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[]]", "]", true),
            ("a.b", "axb", false),
        ] {
            assert_eq!(Glob::new(glob).matches(name), matches, "{glob} {name}");
        }
    }
}
