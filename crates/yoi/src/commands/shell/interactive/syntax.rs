//! What can be told of a line of bash without running it: whether it is a whole command, and what stands
//! at its end.

/// Words that begin what another word ends.
const PAIRS: [(&str, &str); 7] = [
    ("if", "fi"),
    ("case", "esac"),
    ("for", "done"),
    ("while", "done"),
    ("until", "done"),
    ("select", "done"),
    ("{", "}"),
];

/// Words after which a command begins.
const BEFORE_COMMANDS: [&str; 11] =
    ["if", "then", "else", "elif", "while", "until", "do", "{", "!", "time", "case"];

/// Whether `text` is a whole command, as far as quotes, brackets, keywords and here-documents tell. A wrong
/// guess costs a person one more line, or an error of the shell.
pub(super) fn is_complete(text: &str) -> bool {
    let scan = Scan::of(text);
    !scan.in_quotes
        && !scan.ends_open
        && scan.open.is_empty()
        && scan
            .heredocs
            .iter()
            .all(|end| text.lines().skip(1).any(|line| line.trim_start_matches('\t') == end))
}

/// The word at the end of `text`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LastWord<'a> {
    /// As it is written.
    pub(super) text: &'a str,
    /// Whether it names a command.
    pub(super) is_command: bool,
}

pub(super) fn last_word(text: &str) -> LastWord<'_> {
    let scan = Scan::of(text);
    LastWord { text: &text[scan.word_start.min(text.len())..], is_command: scan.expects_command }
}

/// What was seen of a text, up to its end.
#[derive(Debug, Default)]
struct Scan {
    in_quotes: bool,
    /// Whether the next line belongs to this one.
    ends_open: bool,
    /// What is to come yet, innermost last.
    open: Vec<&'static str>,
    heredocs: Vec<String>,
    word_start: usize,
    expects_command: bool,
}

impl Scan {
    fn of(text: &str) -> Self {
        let mut scan = Self { expects_command: true, ..Self::default() };
        let mut characters = text.char_indices().peekable();
        let mut quote = None;
        let mut in_word = false;
        let mut heredoc = false;
        while let Some((at, character)) = characters.next() {
            let after = at + character.len_utf8();
            match (quote, character) {
                (Some(open), _) if character == open => quote = None,
                (None | Some('"'), '\\') => {
                    in_word = true;
                    scan.ends_open = matches!(characters.next(), None | Some((_, '\n')));
                    continue;
                }
                (Some(_), _) => {}
                (None, '\'' | '"' | '`') => {
                    quote = Some(character);
                    in_word = true;
                }
                (None, '#') if !in_word => {
                    while characters.next_if(|(_, next)| *next != '\n').is_some() {}
                }
                (None, ' ' | '\t' | '\n' | ';' | '|' | '&' | '(' | ')' | '<' | '>') => {
                    let word = &text[scan.word_start..at];
                    if in_word {
                        scan.end_word(word, &mut heredoc);
                    }
                    in_word = false;
                    scan.word_start = after;
                    scan.separator(character, characters.peek().map(|(_, next)| *next));
                    if character == '<' {
                        // `<<` and `<<-` begin a here-document, `<<<` a word.
                        let mut angles = 1;
                        while let Some((_, next)) =
                            characters.next_if(|(_, next)| matches!(next, '<' | '-'))
                        {
                            angles += usize::from(next == '<');
                            scan.word_start += 1;
                        }
                        heredoc = angles == 2;
                    }
                    continue;
                }
                (None, _) => in_word = true,
            }
            if !character.is_whitespace() {
                scan.ends_open = false;
            }
        }
        scan.in_quotes = quote.is_some();
        if in_word {
            // The last word: it may be a keyword that closes something.
            let word = &text[scan.word_start..];
            let expects_command = scan.expects_command;
            scan.end_word(word, &mut heredoc);
            scan.expects_command = expects_command;
        }
        scan
    }

    fn end_word(&mut self, word: &str, heredoc: &mut bool) {
        if std::mem::take(heredoc) {
            self.heredocs.push(word.trim_matches(['\'', '"', '\\']).to_owned());
            return;
        }
        if !self.expects_command {
            return;
        }
        self.expects_command = BEFORE_COMMANDS.contains(&word) || is_assignment(word);
        if let Some((_, end)) = PAIRS.iter().find(|(begin, _)| *begin == word) {
            self.open.push(end);
        } else if self.open.last() == Some(&word) {
            self.open.pop();
        }
    }

    fn separator(&mut self, character: char, next: Option<char>) {
        match character {
            ' ' | '\t' => {}
            '(' => {
                self.open.push(")");
                self.expects_command = true;
            }
            ')' => {
                // One that closes nothing ends a pattern of `case`.
                if self.open.last() == Some(&")") {
                    self.open.pop();
                }
                self.expects_command = true;
            }
            '<' | '>' => self.expects_command = false,
            _ => self.expects_command = true,
        }
        match character {
            '|' => self.ends_open = true,
            '&' => self.ends_open = next != Some('&') && self.ends_open || next == Some('&'),
            ' ' | '\t' | '\n' => {}
            _ => self.ends_open = false,
        }
    }
}

fn is_assignment(word: &str) -> bool {
    let name = word.split_once('=').map(|(name, _)| name);
    name.is_some_and(|name| {
        !name.is_empty() && name.chars().all(|next| next.is_alphanumeric() || next == '_')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_complete_once_everything_that_it_opens_is_closed() {
        for whole in [
            "",
            "echo hi",
            "echo 'a b' \"c\" \\\"",
            "if true; then echo; fi",
            "for x in a b; do echo $x; done",
            "case $x in a) echo;; esac",
            "f() { echo; }; f",
            "(cd sub && ls)",
            "x=$(ls | wc -l)",
            "cat <<END\nline\nEND",
            "sleep 1 &",
            "a | b",
            "# it's a comment",
            "echo done",
            "cat <<< word",
        ] {
            assert!(is_complete(whole), "{whole}");
        }
        for part in [
            "echo 'a",
            "echo \"a",
            "echo \\",
            "if true; then",
            "for x in a b; do echo $x",
            "while true",
            "case $x in a) echo;;",
            "f() {",
            "(cd sub",
            "x=$(ls",
            "cat <<END",
            "cat <<'END'\nline",
            "a |",
            "a &&",
            "a ||",
        ] {
            assert!(!is_complete(part), "{part}");
        }
    }

    #[test]
    fn the_word_at_the_end_is_a_command_where_one_begins() {
        let word = |text| {
            let LastWord { text, is_command } = last_word(text);
            (text, is_command)
        };
        assert_eq!(word("ec"), ("ec", true));
        assert_eq!(word("echo hi"), ("hi", false));
        assert_eq!(word("echo "), ("", false));
        assert_eq!(word("ls | gr"), ("gr", true));
        assert_eq!(word("x=1 ec"), ("ec", true));
        assert_eq!(word("if gr"), ("gr", true));
        assert_eq!(word("echo $(ba"), ("ba", true));
        assert_eq!(word("cat < fi"), ("fi", false));
        assert_eq!(word("cat 'a b"), ("'a b", false));
        assert_eq!(word("a; b"), ("b", true));
    }
}
