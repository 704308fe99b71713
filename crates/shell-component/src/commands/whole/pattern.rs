//! Basic regular expressions, as POSIX has them.

/// A basic regular expression as one of the `regex` crate.
pub(crate) fn basic(pattern: &str) -> String {
    let mut translated = String::new();
    let mut chars = pattern.chars().peekable();
    let mut at_start = true;
    while let Some(char) = chars.next() {
        match char {
            '\\' => match chars.next() {
                Some(special @ ('(' | ')' | '{' | '}' | '|' | '+' | '?')) => {
                    translated.push(special);
                    at_start = special == '(' || special == '|';
                    continue;
                }
                Some(class @ ('w' | 'W' | 's' | 'S' | 'b' | 'B')) => {
                    translated.push('\\');
                    translated.push(class);
                }
                Some(other) => translated.push_str(&regex::escape(&other.to_string())),
                None => translated.push_str("\\\\"),
            },
            '(' | ')' | '{' | '}' | '|' | '+' | '?' => {
                translated.push('\\');
                translated.push(char);
            }
            '^' if !at_start => translated.push_str("\\^"),
            '^' => {
                translated.push('^');
                continue;
            }
            '*' if at_start => translated.push_str("\\*"),
            '[' => {
                translated.push('[');
                if let Some(negation) = chars.next_if(|char| *char == '^') {
                    translated.push(negation);
                }
                let mut first = true;
                while let Some(char) = chars.next() {
                    if char == ']' && !first {
                        break;
                    }
                    first = false;
                    if char == '[' && chars.peek() == Some(&':') {
                        let class: String =
                            chars.by_ref().take_while(|char| *char != ']').collect();
                        translated.push_str(&format!("[{class}]"));
                        continue;
                    }
                    if matches!(char, '\\' | '[' | ']' | '&' | '~') {
                        translated.push('\\');
                    }
                    translated.push(char);
                }
                translated.push(']');
            }
            '$' if chars.peek().is_some() => translated.push_str("\\$"),
            _ => translated.push(char),
        }
        at_start = false;
    }
    translated
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_special_is_so_behind_a_backslash() {
        assert_eq!(basic("a\\(b*\\)\\+"), "a(b*)+");
        assert_eq!(basic("(a+)?"), "\\(a\\+\\)\\?");
        assert_eq!(basic("^*a[]x]$"), "^\\*a[\\]x]$");
    }
}
