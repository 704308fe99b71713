//! Options as GNU programs take them: short ones together, long ones by any unambiguous beginning,
//! and operands between them.

/// What a program knows, as its short letters with `:` after those that take a value, and its long
/// names with the letter or another mark that each stands for.
pub(crate) struct Known {
    /// As for `getopts`; `::` after a letter whose value may be missing.
    pub(crate) short: &'static str,
    /// `name`, `name=` with a value or `name[=]` with one that may be missing, and what it stands for.
    pub(crate) long: &'static [(&'static str, char)],
}

/// What was given.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Given {
    /// The options in their order, each with its value.
    pub(crate) options: Vec<(char, Option<String>)>,
    /// Everything else.
    pub(crate) operands: Vec<String>,
}

impl Given {
    /// Whether the option is among them.
    pub(crate) fn has(&self, option: char) -> bool {
        self.options.iter().any(|(given, _)| *given == option)
    }

    /// The last value of the option.
    pub(crate) fn value(&self, option: char) -> Option<&str> {
        self.options.iter().rev().find(|(given, _)| *given == option)?.1.as_deref()
    }

    /// The one of these options that was given last.
    pub(crate) fn last(&self, among: &[char]) -> Option<char> {
        self.options.iter().rev().map(|(given, _)| *given).find(|given| among.contains(given))
    }
}

impl Known {
    /// Takes arguments apart. The error is for people, without the program's name.
    pub(crate) fn parse(&self, arguments: &[String]) -> Result<Given, String> {
        let mut given = Given::default();
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            if argument == "--" {
                given.operands.extend(rest.by_ref().cloned());
            } else if let Some(long) = argument.strip_prefix("--") {
                given.options.push(self.long(long, &mut rest)?);
            } else if let Some(letters) = argument.strip_prefix('-').filter(|it| !it.is_empty()) {
                self.letters(letters, &mut rest, &mut given)?;
            } else {
                given.operands.push(argument.clone());
            }
        }
        Ok(given)
    }

    fn letters<'a>(
        &self,
        letters: &str,
        rest: &mut impl Iterator<Item = &'a String>,
        given: &mut Given,
    ) -> Result<(), String> {
        let mut letters = letters.chars();
        while let Some(letter) = letters.next() {
            let Some(at) = self.short.find(letter).filter(|_| letter != ':') else {
                return Err(format!("invalid option -- '{letter}'"));
            };
            let after = &self.short[at + letter.len_utf8()..];
            if !after.starts_with(':') {
                given.options.push((letter, None));
                continue;
            }
            let attached = letters.as_str();
            let value = if !attached.is_empty() {
                Some(attached.to_owned())
            } else if after.starts_with("::") {
                None
            } else {
                let next = rest.next().cloned();
                Some(next.ok_or_else(|| format!("option requires an argument -- '{letter}'"))?)
            };
            given.options.push((letter, value));
            break;
        }
        Ok(())
    }

    fn long<'a>(
        &self,
        argument: &str,
        rest: &mut impl Iterator<Item = &'a String>,
    ) -> Result<(char, Option<String>), String> {
        let (name, attached) = match argument.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (argument, None),
        };
        let bare = |known: &str| known.trim_end_matches("[=]").trim_end_matches('=').to_owned();
        let exact = self.long.iter().find(|(known, _)| bare(known) == name);
        let mut beginning = self.long.iter().filter(|(known, _)| known.starts_with(name));
        let found = match (exact, beginning.next(), beginning.next()) {
            (Some(exact), ..) => exact,
            (None, Some(only), None) => only,
            (None, Some(one), Some(other)) if one.1 == other.1 => one,
            (None, Some(_), Some(_)) => return Err(format!("option '--{name}' is ambiguous")),
            (None, None, _) => return Err(format!("unrecognized option '--{name}'")),
        };
        let (known, mark) = *found;
        if known.ends_with("[=]") {
            return Ok((mark, attached));
        }
        if !known.ends_with('=') {
            return match attached {
                None => Ok((mark, None)),
                Some(_) => Err(format!("option '--{known}' doesn't allow an argument")),
            };
        }
        let value = attached.or_else(|| rest.next().cloned());
        match value {
            Some(value) => Ok((mark, Some(value))),
            None => Err(format!("option '--{}' requires an argument", bare(known))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: Known = Known {
        short: "abn:c::",
        long: &[
            ("all", 'a'),
            ("number=", 'n'),
            ("color[=]", 'c'),
            ("both", 'b'),
            ("bothersome", 'x'),
        ],
    };

    fn given(line: &str) -> Result<Given, String> {
        let arguments: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
        KNOWN.parse(&arguments)
    }

    #[test]
    fn short_options_stand_together_and_among_operands() {
        let given = given("-abn5 x -n 6 -c -cred y -- -a -").unwrap();
        assert_eq!(given.operands, ["x", "y", "-a", "-"]);
        assert_eq!(given.value('n'), Some("6"));
        assert_eq!(given.value('c'), Some("red"));
        assert!(given.has('a') && given.has('b') && !given.has('x'));
    }

    #[test]
    fn long_options_may_be_shortened() {
        assert_eq!(given("--num=3").unwrap().value('n'), Some("3"));
        assert_eq!(given("--number 3 --color").unwrap().options.len(), 2);
        assert!(given("--both").unwrap().has('b'));
        assert_eq!(given("--bo").unwrap_err(), "option '--bo' is ambiguous");
        assert_eq!(given("--zz").unwrap_err(), "unrecognized option '--zz'");
        assert_eq!(given("--all=1").unwrap_err(), "option '--all' doesn't allow an argument");
        assert_eq!(given("-n").unwrap_err(), "option requires an argument -- 'n'");
        assert_eq!(given("-z").unwrap_err(), "invalid option -- 'z'");
    }
}
