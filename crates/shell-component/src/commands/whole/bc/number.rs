//! Decimal numbers with a scale: how many digits they have behind the point.

use std::cmp::Ordering;

use num_bigint::{BigInt, Sign};

/// `digits / 10^scale`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Number {
    pub(super) digits: BigInt,
    pub(super) scale: u32,
}

/// Beyond, a number would be nothing but digits.
const MOST_DIGITS: u32 = 1_000_000;

pub(super) fn power_of_ten(exponent: u32) -> BigInt {
    BigInt::from(10).pow(exponent)
}

impl Number {
    pub(super) fn integer(value: impl Into<BigInt>) -> Self {
        Self { digits: value.into(), scale: 0 }
    }

    pub(super) fn zero() -> Self {
        Self::integer(0)
    }

    pub(super) fn is_zero(&self) -> bool {
        self.digits.sign() == Sign::NoSign
    }

    pub(super) fn is_negative(&self) -> bool {
        self.digits.sign() == Sign::Minus
    }

    /// The same with so many digits behind the point: others are cut off.
    pub(super) fn with_scale(&self, scale: u32) -> Self {
        let digits = match scale.cmp(&self.scale) {
            Ordering::Equal => self.digits.clone(),
            Ordering::Greater => &self.digits * power_of_ten(scale - self.scale),
            Ordering::Less => &self.digits / power_of_ten(self.scale - scale),
        };
        Self { digits, scale }
    }

    /// What stands in front of the point.
    pub(super) fn whole(&self) -> BigInt {
        &self.digits / power_of_ten(self.scale)
    }

    /// As a small number, if it is one.
    pub(super) fn small(&self) -> Option<i64> {
        i64::try_from(self.whole()).ok()
    }

    pub(super) fn negated(&self) -> Self {
        Self { digits: -&self.digits, scale: self.scale }
    }

    fn aligned(&self, other: &Self) -> (BigInt, BigInt, u32) {
        let scale = self.scale.max(other.scale);
        (self.with_scale(scale).digits, other.with_scale(scale).digits, scale)
    }

    pub(super) fn plus(&self, other: &Self) -> Self {
        let (one, two, scale) = self.aligned(other);
        Self { digits: one + two, scale }
    }

    pub(super) fn minus(&self, other: &Self) -> Self {
        self.plus(&other.negated())
    }

    pub(super) fn times(&self, other: &Self, scale: u32) -> Self {
        let full = self.scale + other.scale;
        let kept = full.min(scale.max(self.scale).max(other.scale));
        Self { digits: &self.digits * &other.digits, scale: full }.with_scale(kept)
    }

    /// Nothing if it is divided by zero.
    pub(super) fn divided(&self, other: &Self, scale: u32) -> Option<Self> {
        if other.is_zero() {
            return None;
        }
        let numerator = &self.digits * power_of_ten(scale + other.scale);
        let digits = numerator / (&other.digits * power_of_ten(self.scale));
        Some(Self { digits, scale })
    }

    pub(super) fn remainder(&self, other: &Self, scale: u32) -> Option<Self> {
        let quotient = self.divided(other, scale)?;
        let kept = (scale + other.scale).max(self.scale);
        let product =
            Self { digits: &quotient.digits * &other.digits, scale: quotient.scale + other.scale };
        Some(self.minus(&product).with_scale(kept))
    }

    /// The error is for people.
    pub(super) fn power(&self, exponent: &Self, scale: u32) -> Result<Self, &'static str> {
        let exponent = exponent.small().ok_or("exponent too large in raise")?;
        let count = u32::try_from(exponent.unsigned_abs())
            .ok()
            .filter(|count| {
                self.digits.bits().saturating_mul((*count).into()) / 3 < MOST_DIGITS.into()
            })
            .ok_or("exponent too large in raise")?;
        let full = Self { digits: self.digits.pow(count), scale: self.scale * count };
        if exponent < 0 {
            return Self::integer(1).divided(&full, scale).ok_or("divide by zero");
        }
        Ok(full.with_scale(full.scale.min(scale.max(self.scale))))
    }

    /// Nothing for a negative number.
    pub(super) fn square_root(&self, scale: u32) -> Option<Self> {
        if self.is_negative() {
            return None;
        }
        let scale = scale.max(self.scale);
        let digits = self.with_scale(2 * scale).digits.sqrt();
        Some(Self { digits, scale })
    }

    pub(super) fn compare(&self, other: &Self) -> Ordering {
        let (one, two, _) = self.aligned(other);
        one.cmp(&two)
    }

    /// How many digits it has.
    pub(super) fn length(&self) -> u32 {
        let digits = self.digits.magnitude().to_string();
        let count = if self.is_zero() { 0 } else { digits.len() };
        u32::try_from(count).unwrap_or(u32::MAX).max(self.scale).max(1)
    }

    /// Reads digits in a base; a single digit is itself in any base.
    pub(super) fn parse(text: &str, base: u32) -> Self {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let single = whole.len() + fraction.len() == 1;
        // Digits beyond the base count as the highest, in numbers that have several.
        let digit = |char: char| {
            let value = char.to_digit(36).unwrap_or(0);
            if single { value } else { value.min(base - 1) }
        };
        let mut digits = BigInt::from(0);
        for char in whole.chars() {
            digits = digits * base + digit(char);
        }
        if fraction.is_empty() {
            return Self::integer(digits);
        }
        let scale = u32::try_from(fraction.len()).unwrap_or(u32::MAX);
        let mut numerator = BigInt::from(0);
        let mut denominator = BigInt::from(1);
        for char in fraction.chars() {
            numerator = numerator * base + digit(char);
            denominator *= base;
        }
        let behind = numerator * power_of_ten(scale) / denominator;
        Self { digits: digits * power_of_ten(scale) + behind, scale }
    }

    /// As bc writes it: without a zero in front of the point.
    pub(super) fn text(&self, base: u32) -> String {
        if self.is_zero() {
            return "0".to_owned();
        }
        let sign = if self.is_negative() { "-" } else { "" };
        let magnitude = BigInt::from(self.digits.magnitude().clone());
        let unit = power_of_ten(self.scale);
        let whole = &magnitude / &unit;
        let mut rest = magnitude % &unit;
        if base == 10 {
            return format!("{sign}{}", magnitude_text(&whole, &rest, self.scale));
        }
        let mut text =
            if whole.sign() == Sign::NoSign { String::new() } else { in_base(&whole, base) };
        if self.scale > 0 {
            text.push('.');
            // As many digits as the fraction needs to be told apart.
            let mut precision = BigInt::from(1);
            while precision < unit {
                rest *= base;
                let digit = &rest / &unit;
                rest %= &unit;
                text.push_str(&one_digit(u32::try_from(digit).unwrap_or(0), base));
                precision *= base;
            }
        }
        format!("{sign}{text}")
    }
}

fn magnitude_text(whole: &BigInt, rest: &BigInt, scale: u32) -> String {
    let whole = if whole.sign() == Sign::NoSign { String::new() } else { whole.to_string() };
    if scale == 0 {
        return whole;
    }
    format!("{whole}.{:0>width$}", rest.to_string(), width = scale as usize)
}

/// A digit: a character up to base 16, and decimal digits of a fixed width with a space in front
/// above it.
fn one_digit(value: u32, base: u32) -> String {
    if base <= 16 {
        return char::from_digit(value, 16).unwrap_or('0').to_ascii_uppercase().to_string();
    }
    let width = (base - 1).to_string().len();
    format!(" {value:0>width$}")
}

fn in_base(whole: &BigInt, base: u32) -> String {
    if base <= 16 {
        return whole.to_str_radix(base).to_uppercase();
    }
    let mut digits = Vec::new();
    let mut rest = whole.clone();
    while rest.sign() != Sign::NoSign {
        digits.push(u32::try_from(&rest % base).unwrap_or(0));
        rest /= base;
    }
    digits.iter().rev().map(|digit| one_digit(*digit, base)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Number {
        Number::parse(text, 10)
    }

    #[test]
    fn numbers_are_written_as_bc_writes_them() {
        assert_eq!(number("0.50").text(10), ".50");
        assert_eq!(number("0.00").text(10), "0");
        assert_eq!(number("1.5").negated().text(10), "-1.5");
        assert_eq!(number("10").text(2), "1010");
        assert_eq!(number("255").text(16), "FF");
        assert_eq!(number("300").text(20), " 15 00");
        assert_eq!(Number::parse("FF", 16).text(10), "255");
        assert_eq!(number("0.05").text(10), ".05");
    }

    #[test]
    fn digits_behind_the_point_are_cut_off_and_never_rounded() {
        assert_eq!(number("2").divided(&number("3"), 4).unwrap().text(10), ".6666");
        assert_eq!(number("7").negated().divided(&number("2"), 0).unwrap().text(10), "-3");
        assert_eq!(number("1.25").times(&number("1.25"), 0).text(10), "1.56");
        assert_eq!(number("2").square_root(5).unwrap().text(10), "1.41421");
        assert_eq!(number("10").remainder(&number("3"), 0).unwrap().text(10), "1");
        assert!(number("1").divided(&Number::zero(), 3).is_none());
    }
}
