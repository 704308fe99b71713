//! `expr`: one expression, each part an argument of its own.

use num_bigint::BigInt;
use regex::Regex;

use super::{
    buffered::{Buffered, Call, never},
    pattern::basic,
};

/// `expr`.
pub(crate) const EXPR: Buffered = Buffered { wants_input: never, run };

/// The exit code of an expression that is empty or zero.
const FALSE: u8 = 1;

/// The exit code of something that is no expression.
const INVALID: u8 = 2;

/// How deep an expression may be, at most: each level takes of the stack.
const MOST_NESTED: usize = 1_000;

fn run(call: &mut Call<'_>) -> u8 {
    let arguments = call.arguments;
    let words = match arguments.first() {
        Some(first) if first == "--" => &arguments[1..],
        _ => arguments,
    };
    if words.is_empty() {
        call.complain("missing operand");
        call.complain("Try 'expr --help' for more information.");
        return INVALID;
    }
    let opens =
        |word: &&String| ["(", "match", "substr", "index", "length", "+"].contains(&word.as_str());
    if words.iter().filter(opens).count() > MOST_NESTED {
        call.complain("expression too deeply nested");
        return INVALID;
    }
    let mut parser = Parser { words, at: 0 };
    let value = parser.or().and_then(|value| match parser.words.get(parser.at) {
        None => Ok(value),
        Some(extra) => Err(format!("syntax error: unexpected argument '{extra}'")),
    });
    match value {
        Ok(value) => {
            call.say(&value);
            if value.is_empty() || integer(&value).is_some_and(|value| value == BigInt::from(0)) {
                FALSE
            } else {
                0
            }
        }
        Err(message) => {
            call.complain(message);
            INVALID
        }
    }
}

struct Parser<'a> {
    words: &'a [String],
    at: usize,
}

type Value = Result<String, String>;

fn integer(text: &str) -> Option<BigInt> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

fn is_false(text: &str) -> bool {
    text.is_empty() || integer(text).is_some_and(|value| value == BigInt::from(0))
}

impl Parser<'_> {
    fn takes(&mut self, words: &[&'static str]) -> Option<&'static str> {
        let word = self.words.get(self.at)?;
        let found = words.iter().find(|other| *other == word)?;
        self.at += 1;
        Some(found)
    }

    fn or(&mut self) -> Value {
        let mut left = self.and()?;
        while self.takes(&["|"]).is_some() {
            let right = self.and()?;
            if is_false(&left) {
                left = if is_false(&right) { "0".to_owned() } else { right };
            }
        }
        Ok(left)
    }

    fn and(&mut self) -> Value {
        let mut left = self.comparison()?;
        while self.takes(&["&"]).is_some() {
            let right = self.comparison()?;
            if is_false(&left) || is_false(&right) {
                left = "0".to_owned();
            }
        }
        Ok(left)
    }

    fn comparison(&mut self) -> Value {
        let mut left = self.sum()?;
        while let Some(operator) = self.takes(&["<=", ">=", "!=", "==", "<", ">", "="]) {
            let right = self.sum()?;
            let order = match (integer(&left), integer(&right)) {
                (Some(left), Some(right)) => left.cmp(&right),
                _ => left.cmp(&right),
            };
            let holds = match operator {
                "<=" => order.is_le(),
                ">=" => order.is_ge(),
                "!=" => order.is_ne(),
                "<" => order.is_lt(),
                ">" => order.is_gt(),
                _ => order.is_eq(),
            };
            left = u8::from(holds).to_string();
        }
        Ok(left)
    }

    fn sum(&mut self) -> Value {
        let mut left = self.product()?;
        while let Some(operator) = self.takes(&["+", "-"]) {
            let (one, other) = numbers(&left, &self.product()?)?;
            left = if operator == "+" { one + other } else { one - other }.to_string();
        }
        Ok(left)
    }

    fn product(&mut self) -> Value {
        let mut left = self.matching()?;
        while let Some(operator) = self.takes(&["*", "/", "%"]) {
            let (one, other) = numbers(&left, &self.matching()?)?;
            if operator != "*" && other == BigInt::from(0) {
                return Err("division by zero".to_owned());
            }
            let result = match operator {
                "*" => one * other,
                "/" => one / other,
                _ => one % other,
            };
            left = result.to_string();
        }
        Ok(left)
    }

    fn matching(&mut self) -> Value {
        let mut left = self.function()?;
        while self.takes(&[":"]).is_some() {
            let pattern = self.function()?;
            left = matched(&left, &pattern)?;
        }
        Ok(left)
    }

    fn function(&mut self) -> Value {
        // `+` makes of what follows a plain word.
        if self.takes(&["+"]).is_some() {
            return self.word();
        }
        // A word at the end is a word, whatever its name.
        if self.at + 1 >= self.words.len() {
            return self.primary();
        }
        match self.takes(&["length", "match", "index", "substr"]) {
            Some("length") => Ok(self.function()?.chars().count().to_string()),
            Some("match") => {
                let text = self.function()?;
                let pattern = self.function()?;
                matched(&text, &pattern)
            }
            Some("index") => {
                let text = self.function()?;
                let set = self.function()?;
                let at = text.chars().position(|char| set.contains(char));
                Ok(at.map_or(0, |at| at + 1).to_string())
            }
            Some(_) => {
                let text = self.function()?;
                let start = self.function()?.parse::<usize>().unwrap_or(0);
                let length = self.function()?.parse::<usize>().unwrap_or(0);
                if start == 0 {
                    return Ok(String::new());
                }
                Ok(text.chars().skip(start - 1).take(length).collect())
            }
            None => self.primary(),
        }
    }

    fn primary(&mut self) -> Value {
        if self.takes(&["("]).is_none() {
            return self.word();
        }
        let value = self.or()?;
        match self.takes(&[")"]) {
            Some(_) => Ok(value),
            None => Err(match self.words.get(self.at) {
                Some(word) => format!("syntax error: expecting ')' instead of '{word}'"),
                None => {
                    let last = self.words.last().map_or("", String::as_str);
                    format!("syntax error: expecting ')' after '{last}'")
                }
            }),
        }
    }

    fn word(&mut self) -> Value {
        let word = self.words.get(self.at).ok_or_else(|| {
            let last = self.words.last().map_or("", String::as_str);
            format!("syntax error: missing argument after '{last}'")
        })?;
        if word == ")" {
            return Err("syntax error: unexpected ')'".to_owned());
        }
        self.at += 1;
        Ok(word.clone())
    }
}

fn numbers(one: &str, other: &str) -> Result<(BigInt, BigInt), String> {
    match (integer(one), integer(other)) {
        (Some(one), Some(other)) => Ok((one, other)),
        _ => Err("non-integer argument".to_owned()),
    }
}

/// What the first group matched, or without groups how many characters matched.
fn matched(text: &str, pattern: &str) -> Value {
    let pattern = pattern.strip_prefix('^').unwrap_or(pattern);
    let pattern = format!("^(?s:{})", basic(pattern));
    let pattern = Regex::new(&pattern).map_err(|_| "Invalid regular expression".to_owned())?;
    let has_groups = pattern.captures_len() > 1;
    let found = pattern.captures(text);
    Ok(match (found, has_groups) {
        (Some(found), true) => found.get(1).map_or("", |group| group.as_str()).to_owned(),
        (Some(found), false) => {
            found.get(0).map_or(0, |all| all.as_str().chars().count()).to_string()
        }
        (None, true) => String::new(),
        (None, false) => "0".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(line: &str) -> String {
        let words: Vec<_> = line.split(' ').map(str::to_owned).collect();
        let mut parser = Parser { words: &words, at: 0 };
        parser.or().unwrap_or_else(|error| error)
    }

    #[test]
    fn expressions_have_the_values_of_gnu_expr() {
        for (line, result) in [
            ("1 + 2 * 3", "7"),
            ("( 1 + 2 ) * 3", "9"),
            ("7 - 10", "-3"),
            ("abc : a\\(.*\\)", "bc"),
            ("abc : b", "0"),
            ("match abcabc a.*b", "5"),
            ("index hello l", "3"),
            ("substr hello 2 3", "ell"),
            ("length hello", "5"),
            ("length", "length"),
            ("0 | 5", "5"),
            ("2 & 0", "0"),
            ("10 < 9", "0"),
            ("a < b", "1"),
            ("x + 1", "non-integer argument"),
            ("1 / 0", "division by zero"),
            ("foo.txt : .*\\.txt$", "7"),
        ] {
            assert_eq!(value(line), result, "{line}");
        }
    }
}
