//! The library of `bc -l`.

use super::number::{Number, power_of_ten};

/// Digits beyond those that are wanted, which the errors of the series do not reach.
const GUARD: u32 = 10;

/// `s`, `c`, `a`, `l`, `e` and `j`; nothing for other names.
pub(super) fn call(name: &str, value: &Number, more: &[Number], scale: u32) -> Option<Number> {
    let result = match (name, more) {
        ("e", []) => exponential(value, scale),
        ("l", []) => logarithm(value, scale),
        ("s", []) => sine(value, scale),
        ("c", []) => {
            let half_turn = arctangent(&Number::integer(1), scale + GUARD);
            let half_pi = half_turn.times(&Number::integer(2), scale + GUARD);
            sine(&value.plus(&half_pi), scale)
        }
        ("a", []) => arctangent(value, scale),
        ("j", [argument]) => bessel(value, argument, scale),
        _ => return None,
    };
    // The series come from below: what is whole but for their last digits is whole.
    let whole = Number { digits: 1.into(), scale: scale + GUARD / 2 };
    let whole = if result.is_negative() { whole.negated() } else { whole };
    Some(result.plus(&whole).with_scale(scale))
}

fn one() -> Number {
    Number::integer(1)
}

fn quotient(numerator: &Number, denominator: i64, scale: u32) -> Number {
    numerator.divided(&Number::integer(denominator), scale).unwrap_or_else(Number::zero)
}

/// By halving the exponent until the series is short.
fn exponential(value: &Number, scale: u32) -> Number {
    let whole = value.small().unwrap_or(0).unsigned_abs();
    // A large exponent has digits in front of the point; beyond this, nobody reads them.
    let whole = u32::try_from(whole).unwrap_or(u32::MAX).min(100_000);
    let work = scale + GUARD + whole / 2 + 8;
    let magnitude = if value.is_negative() { value.negated() } else { value.clone() };
    let mut reduced = magnitude.with_scale(work);
    let mut halvings = 0;
    while reduced.compare(&one()).is_gt() && halvings < 64 {
        reduced = quotient(&reduced, 2, work);
        halvings += 1;
    }
    let (mut sum, mut term) = (one().with_scale(work), one().with_scale(work));
    for step in 1.. {
        term = quotient(&term.times(&reduced, work), step, work);
        if term.is_zero() {
            break;
        }
        sum = sum.plus(&term);
    }
    for _ in 0..halvings {
        sum = sum.times(&sum, work).with_scale(work);
    }
    if value.is_negative() { one().divided(&sum, work).unwrap_or_else(Number::zero) } else { sum }
}

/// By square roots until the series is short.
fn logarithm(value: &Number, scale: u32) -> Number {
    if value.is_zero() || value.is_negative() {
        // As bc has it: the most negative number of the scale.
        return one().minus(&Number { digits: power_of_ten(scale.max(1)), scale: 0 });
    }
    let work = scale + GUARD;
    let two = Number::integer(2);
    let half = Number::parse("0.5", 10);
    let mut reduced = value.with_scale(work.max(value.scale));
    let mut doublings = 0_u32;
    while (reduced.compare(&two).is_gt() || reduced.compare(&half).is_lt()) && doublings < 64 {
        reduced = reduced.square_root(work).unwrap_or_else(Number::zero);
        doublings += 1;
    }
    let ratio = reduced.minus(&one()).divided(&reduced.plus(&one()), work);
    let ratio = ratio.unwrap_or_else(Number::zero);
    let square = ratio.times(&ratio, work);
    let (mut sum, mut power) = (ratio.clone(), ratio);
    for step in 1.. {
        power = power.times(&square, work).with_scale(work);
        let term = quotient(&power, 2 * step + 1, work);
        if term.is_zero() {
            break;
        }
        sum = sum.plus(&term);
    }
    let factor = Number::integer(num_bigint::BigInt::from(2).pow(doublings + 1));
    sum.times(&factor, work)
}

fn sine(value: &Number, scale: u32) -> Number {
    let work = scale + GUARD + value.length();
    let quarter = arctangent(&one(), work);
    let turn = quarter.times(&Number::integer(8), work);
    let reduced = value.with_scale(work).remainder(&turn, 0).unwrap_or_else(Number::zero);
    let reduced = reduced.with_scale(work);
    let square = reduced.times(&reduced, work).with_scale(work);
    let (mut sum, mut term) = (reduced.clone(), reduced);
    for step in 1.. {
        term = quotient(&term.times(&square, work), (2 * step) * (2 * step + 1), work).negated();
        if term.is_zero() {
            break;
        }
        sum = sum.plus(&term);
    }
    sum
}

/// By halving the angle until the series is short.
fn arctangent(value: &Number, scale: u32) -> Number {
    let work = scale + GUARD;
    let mut reduced = value.with_scale(work.max(value.scale));
    let limit = Number::parse("0.2", 10);
    let mut doublings = 0_u32;
    loop {
        let magnitude = if reduced.is_negative() { reduced.negated() } else { reduced.clone() };
        if magnitude.compare(&limit).is_le() || doublings > 64 {
            break;
        }
        let root = one().plus(&reduced.times(&reduced, work)).square_root(work);
        let below = one().plus(&root.unwrap_or_else(Number::zero));
        reduced = reduced.divided(&below, work).unwrap_or_else(Number::zero);
        doublings += 1;
    }
    let square = reduced.times(&reduced, work).with_scale(work);
    let (mut sum, mut power) = (reduced.clone(), reduced);
    for step in 1.. {
        power = power.times(&square, work).with_scale(work).negated();
        let term = quotient(&power, 2 * step + 1, work);
        if term.is_zero() {
            break;
        }
        sum = sum.plus(&term);
    }
    sum.times(&Number::integer(num_bigint::BigInt::from(2).pow(doublings)), work)
}

fn bessel(order: &Number, value: &Number, scale: u32) -> Number {
    let work = scale + GUARD + value.length();
    let order = order.small().unwrap_or(0);
    // Beyond, the result has no digits within any scale.
    let count = i64::try_from(order.unsigned_abs()).unwrap_or(0).min(1000);
    let half = quotient(&value.with_scale(work), 2, work);
    let mut term = one().with_scale(work);
    for step in 1..=count {
        term = quotient(&term.times(&half, work), step, work);
    }
    let square = half.times(&half, work).with_scale(work);
    let mut sum = term.clone();
    for step in 1.. {
        term = quotient(&term.times(&square, work), step * (step + count), work).negated();
        if term.is_zero() {
            break;
        }
        sum = sum.plus(&term);
    }
    if order < 0 && order % 2 != 0 { sum.negated() } else { sum }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_have_the_digits_of_bc() {
        let at = |name: &str, value: &str| {
            call(name, &Number::parse(value, 10), &[], 20).unwrap().text(10)
        };
        assert_eq!(at("e", "1"), "2.71828182845904523536");
        assert_eq!(at("e", "0"), "1.00000000000000000000");
        assert_eq!(at("l", "2"), ".69314718055994530941");
        assert_eq!(at("l", "10"), "2.30258509299404568401");
        assert_eq!(at("a", "1"), ".78539816339744830961");
        assert_eq!(at("s", "1"), ".84147098480789650665");
        assert_eq!(at("c", "0"), "1.00000000000000000000");
    }
}
