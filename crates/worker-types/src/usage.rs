//! What turns cost. Unknown is absent, never zero.

use serde::{Deserialize, Serialize};

use crate::Receipt;

/// The tokens of model calls, as the provider counted them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TokenUsage {
    /// Tokens read, cached ones not included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<u64>,
    /// Tokens written, reasoning included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<u64>,
    /// Tokens read from the provider's cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_input: Option<u64>,
    /// Tokens of `output` that were reasoning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<u64>,
}

impl TokenUsage {
    /// Adds `other`: a count is known once either side knows it.
    pub fn add(&mut self, other: Self) {
        let sum = |a: Option<u64>, b: Option<u64>| match (a, b) {
            (Some(a), Some(b)) => Some(a.saturating_add(b)),
            (known, None) | (None, known) => known,
        };
        self.input = sum(self.input, other.input);
        self.output = sum(self.output, other.output);
        self.cached_input = sum(self.cached_input, other.cached_input);
        self.reasoning = sum(self.reasoning, other.reasoning);
    }

    /// What was counted since this total was `earlier`.
    fn since(self, earlier: Self) -> Self {
        let since = |now: Option<u64>, earlier: Option<u64>| {
            now.map(|now| now.saturating_sub(earlier.unwrap_or(0)))
        };
        Self {
            input: since(self.input, earlier.input),
            output: since(self.output, earlier.output),
            cached_input: since(self.cached_input, earlier.cached_input),
            reasoning: since(self.reasoning, earlier.reasoning),
        }
    }
}

/// The running total of a Worker or a Runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Usage {
    /// Turns that ended.
    pub turns: u64,
    /// Wall time of those turns in microseconds.
    pub wall_us: u64,
    /// CPU time of those turns in microseconds.
    pub cpu_us: u64,
    /// Model calls that reached a provider.
    pub model_calls: u64,
    /// Their tokens.
    #[serde(flatten)]
    pub tokens: TokenUsage,
}

impl Usage {
    /// What one turn took.
    #[must_use]
    pub fn of(receipt: &Receipt) -> Self {
        Self {
            turns: 1,
            wall_us: receipt.wall_us,
            cpu_us: receipt.cpu_us,
            model_calls: receipt.model_calls,
            tokens: receipt.tokens,
        }
    }

    /// What was used since this total was `earlier`.
    #[must_use]
    pub fn since(&self, earlier: Self) -> Self {
        Self {
            turns: self.turns.saturating_sub(earlier.turns),
            wall_us: self.wall_us.saturating_sub(earlier.wall_us),
            cpu_us: self.cpu_us.saturating_sub(earlier.cpu_us),
            model_calls: self.model_calls.saturating_sub(earlier.model_calls),
            tokens: self.tokens.since(earlier.tokens),
        }
    }

    /// Adds `other`.
    pub fn add(&mut self, other: Self) {
        self.turns = self.turns.saturating_add(other.turns);
        self.wall_us = self.wall_us.saturating_add(other.wall_us);
        self.cpu_us = self.cpu_us.saturating_add(other.cpu_us);
        self.model_calls = self.model_calls.saturating_add(other.model_calls);
        self.tokens.add(other.tokens);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_tokens_stay_absent_and_known_ones_add_up() {
        let mut total = TokenUsage { input: Some(3), ..TokenUsage::default() };
        total.add(TokenUsage { input: Some(4), output: Some(1), ..TokenUsage::default() });
        assert_eq!(
            serde_json::to_string(&total).expect("usage serialises"),
            r#"{"input":7,"output":1}"#
        );
    }
}
