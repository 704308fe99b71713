//! `sleep`. bashkit's never sleeps longer than a minute, and does not say so.

use std::time::Duration;

use bashkit::{Builtin, BuiltinContext, ExecResult, Result, async_trait};

/// `sleep`, for as long as it is told.
pub(super) struct Sleep;

#[async_trait]
impl Builtin for Sleep {
    async fn execute(&self, context: BuiltinContext<'_>) -> Result<ExecResult> {
        match duration(context.args) {
            Ok(duration) => {
                tokio::time::sleep(duration).await;
                Ok(ExecResult::ok(String::new()))
            }
            Err(problem) => {
                let help = "Try 'sleep --help' for more information.";
                Ok(ExecResult::err(format!("sleep: {problem}\n{help}\n"), 1))
            }
        }
    }
}

/// The sum of the operands. What is longer than anybody waits is as long as can be said.
fn duration(arguments: &[String]) -> std::result::Result<Duration, String> {
    let operands = match arguments.split_first() {
        Some((first, rest)) if first == "--" => rest,
        _ => arguments,
    };
    if operands.is_empty() {
        return Err("missing operand".to_owned());
    }
    let mut seconds = 0.0;
    for operand in operands {
        let (number, unit) = match operand.chars().next_back() {
            Some('s') => (&operand[..operand.len() - 1], 1.0),
            Some('m') => (&operand[..operand.len() - 1], 60.0),
            Some('h') => (&operand[..operand.len() - 1], 3_600.0),
            Some('d') => (&operand[..operand.len() - 1], 86_400.0),
            _ => (operand.as_str(), 1.0),
        };
        let number = number.parse::<f64>().ok().filter(|number| *number >= 0.0);
        seconds += number.ok_or_else(|| format!("invalid time interval '{operand}'"))? * unit;
    }
    Ok(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(operands: &[&str]) -> std::result::Result<u64, String> {
        let operands: Vec<String> = operands.iter().map(|operand| (*operand).to_owned()).collect();
        duration(&operands).map(|duration| duration.as_secs())
    }

    #[test]
    fn operands_are_summed_and_nothing_is_cut() {
        assert_eq!(seconds(&["90"]), Ok(90));
        assert_eq!(seconds(&["--", "1m", "1.5h", ".5", "2d"]), Ok(60 + 5_400 + 172_800));
        assert_eq!(seconds(&["infinity"]), Ok(u64::MAX));
        for bad in [&["-1"][..], &["x"], &["nan"], &["1 "], &["1ms"], &[""], &[]] {
            assert!(seconds(bad).is_err(), "{bad:?}");
        }
    }
}
