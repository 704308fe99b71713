//! POSIX patterns, basic and extended, as patterns of the crate `regex`.
//!
//! A search runs over many lines at once, so nothing that is made here matches a line's end.

/// How a pattern is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Syntax {
    /// `\(a\|b\)\{2\}`.
    Basic,
    /// `(a|b){2}`.
    Extended,
    /// Itself.
    Fixed,
    /// Perl's.
    Perl,
}

/// A pattern in the other syntax.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Translated {
    pub(super) pattern: String,
    /// Whether it refers back to a group, which the crate `regex` cannot.
    pub(super) refers_back: bool,
}

/// Translates a pattern. The error is in the words of the C library.
pub(super) fn translate(pattern: &str, syntax: Syntax) -> Result<Translated, &'static str> {
    match syntax {
        Syntax::Fixed => Ok(Translated { pattern: regex::escape(pattern), refers_back: false }),
        Syntax::Perl => Ok(Translated { pattern: pattern.to_owned(), refers_back: false }),
        Syntax::Basic | Syntax::Extended => {
            let mut translator = Translator {
                rest: pattern.chars().collect(),
                at: 0,
                extended: syntax == Syntax::Extended,
                out: String::new(),
                open: 0,
                groups: 0,
                refers_back: false,
                nothing_to_repeat: true,
            };
            translator.run()?;
            Ok(Translated { pattern: translator.out, refers_back: translator.refers_back })
        }
    }
}

struct Translator {
    rest: Vec<char>,
    at: usize,
    extended: bool,
    out: String,
    open: usize,
    groups: usize,
    refers_back: bool,
    /// At the beginning of a branch, where `*` is an ordinary character.
    nothing_to_repeat: bool,
}

impl Translator {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.rest.get(self.at + ahead).copied()
    }

    fn run(&mut self) -> Result<(), &'static str> {
        while let Some(letter) = self.peek(0) {
            self.at += 1;
            match letter {
                '\\' => self.escape()?,
                '[' => self.class()?,
                '.' => self.atom("."),
                '*' if self.nothing_to_repeat => self.atom("\\*"),
                '*' => self.repeat("*"),
                '^' if self.extended || self.begins_branch() => {
                    self.out.push('^');
                    // Nothing to repeat either.
                    self.nothing_to_repeat = true;
                }
                '$' if self.extended || self.ends_branch() => {
                    self.out.push('$');
                    self.nothing_to_repeat = false;
                }
                '+' | '?' if self.extended && self.nothing_to_repeat => {
                    self.atom(&regex::escape(&letter.to_string()));
                }
                '+' | '?' if self.extended => self.repeat(&letter.to_string()),
                '{' if self.extended => self.interval()?,
                '(' if self.extended => self.group(),
                ')' if self.extended && self.open > 0 => self.close(),
                '|' if self.extended => self.branch(),
                other => {
                    let mut buffer = [0; 4];
                    self.atom(&regex::escape(other.encode_utf8(&mut buffer)));
                }
            }
        }
        if self.open > 0 { Err("Unmatched ( or \\(") } else { Ok(()) }
    }

    fn atom(&mut self, text: &str) {
        self.out.push_str(text);
        self.nothing_to_repeat = false;
    }

    /// A repetition. After another one, POSIX repeats the whole; in the other syntax `a*?` would be
    /// something else.
    fn repeat(&mut self, how: &str) {
        let repeated = self.out.ends_with(['*', '+', '?', '}']) && !self.ends_with_escape();
        if repeated {
            // `a**` is `a*`; anything else after a star is a star too.
            if how == "?" && self.out.ends_with('?') || how == "*" && self.out.ends_with('*') {
                return;
            }
            self.wrap_last();
        }
        self.out.push_str(how);
    }

    fn ends_with_escape(&self) -> bool {
        let before = &self.out[..self.out.len() - 1];
        before.chars().rev().take_while(|letter| *letter == '\\').count() % 2 == 1
    }

    /// Puts the last repetition into a group, to repeat it.
    fn wrap_last(&mut self) {
        // The whole branch so far matches no less.
        let start = self.branch_start();
        self.out.insert_str(start, "(?:");
        self.out.push(')');
    }

    /// Where the last atom begins, by scanning back over what was written since the branch began.
    fn branch_start(&self) -> usize {
        let bytes = self.out.as_bytes();
        let mut at = bytes.len();
        // Over the repetitions.
        while at > 0 && matches!(bytes[at - 1], b'*' | b'+' | b'?') {
            at -= 1;
        }
        if at > 0 && bytes[at - 1] == b'}' {
            while at > 0 && bytes[at - 1] != b'{' {
                at -= 1;
            }
            at = at.saturating_sub(1);
        }
        let escaped = |at: usize| {
            bytes[..at].iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
        };
        match bytes.get(at.wrapping_sub(1)) {
            Some(b')') if !escaped(at - 1) => {
                let mut depth = 0usize;
                while at > 0 {
                    at -= 1;
                    match bytes[at] {
                        b')' if !escaped(at) => depth += 1,
                        b'(' if !escaped(at) => {
                            depth -= 1;
                            if depth == 0 {
                                break;
                            }
                        }
                        _ => {}
                    }
                }
                at
            }
            Some(b']') if !escaped(at - 1) => {
                let mut depth = 0usize;
                while at > 0 {
                    at -= 1;
                    match bytes[at] {
                        b']' if !escaped(at) => depth += 1,
                        b'[' if !escaped(at) => {
                            depth -= 1;
                            if depth == 0 {
                                break;
                            }
                        }
                        _ => {}
                    }
                }
                at
            }
            Some(_) => {
                let mut start = at - 1;
                while !self.out.is_char_boundary(start) {
                    start -= 1;
                }
                if start > 0 && bytes[start - 1] == b'\\' && escaped(start) {
                    start - 1
                } else {
                    start
                }
            }
            None => 0,
        }
    }

    fn begins_branch(&self) -> bool {
        self.nothing_to_repeat && !self.out.ends_with('^')
    }

    fn ends_branch(&self) -> bool {
        matches!(
            (self.peek(0), self.peek(1)),
            (None | Some('\n'), _) | (Some('\\'), Some(')' | '|'))
        )
    }

    fn group(&mut self) {
        self.out.push('(');
        self.open += 1;
        self.groups += 1;
        self.nothing_to_repeat = true;
    }

    fn close(&mut self) {
        self.open -= 1;
        self.atom(")");
    }

    fn branch(&mut self) {
        self.out.push('|');
        self.nothing_to_repeat = true;
    }

    fn escape(&mut self) -> Result<(), &'static str> {
        let Some(letter) = self.peek(0) else { return Err("Trailing backslash") };
        self.at += 1;
        match letter {
            '(' if !self.extended => self.group(),
            ')' if !self.extended => {
                if self.open == 0 {
                    return Err("Unmatched ) or \\)");
                }
                self.close();
            }
            '|' if !self.extended => self.branch(),
            '{' if !self.extended => self.interval()?,
            '+' | '?' if !self.extended && !self.nothing_to_repeat => {
                self.repeat(&letter.to_string())
            }
            '1'..='9' => {
                if letter.to_digit(10).is_some_and(|group| group as usize > self.groups) {
                    return Err("Invalid back reference");
                }
                self.refers_back = true;
                // Not `\1`, which would go on with a digit behind it.
                self.atom(&format!("(?:\\{letter})"));
            }
            'w' => self.atom("\\w"),
            'W' => self.atom("[^\\w\\n]"),
            's' => self.atom("[^\\S\\n]"),
            'S' => self.atom("\\S"),
            'b' => self.atom("\\b"),
            'B' => self.atom("\\B"),
            '<' => self.atom("\\b{start}"),
            '>' => self.atom("\\b{end}"),
            '`' => self.atom("^"),
            '\'' => self.atom("$"),
            other => {
                let mut buffer = [0; 4];
                self.atom(&regex::escape(other.encode_utf8(&mut buffer)));
            }
        }
        Ok(())
    }

    /// `{n,m}`, behind the `{`. What has no such form is ordinary text in extended patterns.
    fn interval(&mut self) -> Result<(), &'static str> {
        let close: &[char] = if self.extended { &['}'] } else { &['\\', '}'] };
        let end = (self.at..self.rest.len()).find(|at| self.rest[*at..].starts_with(close));
        let inside: Option<String> = end.map(|end| self.rest[self.at..end].iter().collect());
        let bounds = inside.as_deref().and_then(bounds);
        let (Some(end), Some((least, most))) = (end, bounds) else {
            if self.extended {
                self.atom("\\{");
                return Ok(());
            }
            return Err(if end.is_none() { "Unmatched \\{" } else { "Invalid content of \\{\\}" });
        };
        if most.is_some_and(|most| most < least) {
            return Err("Invalid content of \\{\\}");
        }
        if least.max(most.unwrap_or(0)) > 32_767 {
            return Err("Regular expression too big");
        }
        if self.nothing_to_repeat {
            if self.extended {
                self.atom("\\{");
                return Ok(());
            }
            return Err("Invalid preceding regular expression");
        }
        self.at = end + close.len();
        let how = match most {
            None => format!("{{{least},}}"),
            Some(most) if most == least => format!("{{{least}}}"),
            Some(most) => format!("{{{least},{most}}}"),
        };
        self.repeat(&how);
        Ok(())
    }

    /// A bracket expression, behind the `[`.
    fn class(&mut self) -> Result<(), &'static str> {
        const UNMATCHED: &str = "Unmatched [, [^, [:, [., or [=";
        let negated = self.peek(0) == Some('^');
        self.at += usize::from(negated);
        let mut class = String::from(if negated { "[^\\n" } else { "[" });
        let mut first = true;
        loop {
            let Some(letter) = self.peek(0) else { return Err(UNMATCHED) };
            self.at += 1;
            match letter {
                ']' if !first => break,
                '[' if matches!(self.peek(0), Some(':')) => {
                    let name = self.bracketed(':').ok_or(UNMATCHED)?;
                    if !CLASSES.contains(&name.as_str()) {
                        return Err("Invalid character class name");
                    }
                    match name.as_str() {
                        // These have line ends, which no line has.
                        "space" => class.push_str(" \\t\\r\\x0B\\x0C"),
                        "cntrl" => class.push_str("\\x00-\\x09\\x0B-\\x1F\\x7F"),
                        "alpha" => class.push_str("\\p{Alphabetic}"),
                        "alnum" => class.push_str("\\p{Alphabetic}\\p{Nd}"),
                        "upper" => class.push_str("\\p{Uppercase}"),
                        "lower" => class.push_str("\\p{Lowercase}"),
                        name => class.push_str(&format!("[:{name}:]")),
                    }
                }
                '[' if matches!(self.peek(0), Some('.' | '=')) => {
                    let mark = self.peek(0).unwrap_or('.');
                    let name = self.bracketed(mark).ok_or(UNMATCHED)?;
                    let mut letters = name.chars();
                    let (Some(letter), None) = (letters.next(), letters.next()) else {
                        return Err("Invalid collation character");
                    };
                    class.push_str(&escape_in_class(letter));
                }
                from => {
                    let is_range =
                        self.peek(0) == Some('-') && self.peek(1).is_some_and(|to| to != ']');
                    if !is_range {
                        class.push_str(&escape_in_class(from));
                    } else {
                        let mut to = self.peek(1).unwrap_or(from);
                        self.at += 2;
                        if to == '[' && matches!(self.peek(0), Some('.' | '=')) {
                            let mark = self.peek(0).unwrap_or('.');
                            let name = self.bracketed(mark).ok_or(UNMATCHED)?;
                            to = name.chars().next().ok_or("Invalid collation character")?;
                        }
                        if from > to {
                            return Err("Invalid range end");
                        }
                        class.push_str(&escape_in_class(from));
                        class.push('-');
                        class.push_str(&escape_in_class(to));
                    }
                }
            }
            first = false;
        }
        class.push(']');
        self.atom(&class);
        Ok(())
    }

    /// `:name:]`, behind the `[`.
    fn bracketed(&mut self, mark: char) -> Option<String> {
        let start = self.at + 1;
        let end = (start..self.rest.len().saturating_sub(1))
            .find(|at| self.rest[*at] == mark && self.rest[*at + 1] == ']')?;
        self.at = end + 2;
        Some(self.rest[start..end].iter().collect())
    }
}

const CLASSES: [&str; 12] = [
    "alnum", "alpha", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space",
    "upper", "xdigit",
];

fn escape_in_class(letter: char) -> String {
    // Only what is special there may be escaped.
    let special = matches!(letter, '\\' | '[' | ']' | '^' | '-' | '&' | '~');
    if special { format!("\\{letter}") } else { letter.to_string() }
}

fn bounds(inside: &str) -> Option<(u32, Option<u32>)> {
    match inside.split_once(',') {
        None => {
            let count = inside.parse().ok()?;
            Some((count, Some(count)))
        }
        Some((least, most)) => {
            let least = if least.is_empty() { 0 } else { least.parse().ok()? };
            let most = if most.is_empty() { None } else { Some(most.parse().ok()?) };
            Some((least, most))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(syntax: Syntax, pattern: &str, wanted: &str) {
        assert_eq!(translate(pattern, syntax).unwrap().pattern, wanted, "{pattern}");
    }

    #[test]
    fn basic_patterns_need_backslashes_for_their_operators() {
        check(Syntax::Basic, "a+b?(c)|{d}", r"a\+b\?\(c\)\|\{d\}");
        check(Syntax::Basic, r"\(a\|b\)*c\{2,3\}", "(a|b)*c{2,3}");
        check(Syntax::Basic, "*a*", r"\*a*");
        check(Syntax::Basic, "a^b$c$", r"a\^b\$c$");
        check(Syntax::Basic, r"\(^a$\)", "(^a$)");
    }

    #[test]
    fn extended_patterns_have_operators() {
        check(Syntax::Extended, "(a|b)+c{2}", "(a|b)+c{2}");
        check(Syntax::Extended, r"a\.b", r"a\.b");
        check(Syntax::Extended, "a**", "a*");
        check(Syntax::Extended, "a+?", "(?:a+)?");
        check(Syntax::Extended, "x(ab)+?", "x(?:(ab)+)?");
        check(Syntax::Extended, "a{x", r"a\{x");
    }

    #[test]
    fn classes_are_taken_apart() {
        check(Syntax::Basic, "[]a]", r"[\]a]");
        check(Syntax::Basic, "[^]a]", r"[^\n\]a]");
        check(Syntax::Basic, "[a-z-]", r"[a-z\-]");
        check(Syntax::Basic, r"[\n]", r"[\\n]");
        check(Syntax::Basic, "[[:digit:][.-.]]", r"[[:digit:]\-]");
    }

    #[test]
    fn complains_in_the_words_of_the_c_library() {
        for (syntax, pattern, words) in [
            (Syntax::Extended, "(a", "Unmatched ( or \\("),
            (Syntax::Basic, "[a", "Unmatched [, [^, [:, [., or [="),
            (Syntax::Basic, "a\\", "Trailing backslash"),
            (Syntax::Basic, "[[:x:]]", "Invalid character class name"),
            (Syntax::Basic, "[z-a]", "Invalid range end"),
            (Syntax::Basic, r"\1", "Invalid back reference"),
        ] {
            assert_eq!(translate(pattern, syntax), Err(words), "{pattern}");
        }
    }

    proptest! {
        #[test]
        fn what_is_translated_compiles(pattern in r"[ab*+?(){}|\[\]^$.\\,0-9-]{0,12}") {
            for syntax in [Syntax::Basic, Syntax::Extended] {
                if let Ok(translated) = translate(&pattern, syntax)
                    && !translated.refers_back
                {
                    let compiled = regex::bytes::RegexBuilder::new(&translated.pattern)
                        .multi_line(true)
                        .size_limit(1 << 30)
                        .build();
                    let too_big = matches!(compiled, Err(regex::Error::CompiledTooBig(_)));
                    prop_assert!(compiled.is_ok() || too_big, "{} became {}", pattern, translated.pattern);
                }
            }
        }

        #[test]
        fn literal_text_matches_itself(text in "[a-z ]{1,10}") {
            for syntax in [Syntax::Basic, Syntax::Extended, Syntax::Fixed] {
                let translated = translate(&text, syntax).unwrap();
                let compiled = regex::Regex::new(&translated.pattern).unwrap();
                prop_assert_eq!(compiled.find(&text).unwrap().as_str(), text.as_str());
            }
        }
    }
}
