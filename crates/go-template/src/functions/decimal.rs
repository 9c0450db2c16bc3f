//! Float functions that compute with decimals (shopspring/decimal 1.2.0): `0.1 + 0.2` is `0.3`.

use num_bigint::{BigInt, Sign};

use super::Outcome;
use super::math::to_float;
use crate::error::Fault;
use crate::value::Value;

/// Digits behind the point that a division computes.
const DIVISION: i32 = 16;

/// `digits * 10^exponent`.
struct Decimal {
    digits: BigInt,
    exponent: i32,
}

impl Decimal {
    fn from(f: f64) -> Option<Self> {
        if !f.is_finite() {
            return None;
        }
        let text = format!("{f:e}");
        let (mantissa, exponent) = text.split_once('e')?;
        let behind = mantissa.split_once('.').map_or(0, |(_, fraction)| fraction.len());
        let digits = mantissa.replace('.', "").parse().ok()?;
        Some(Self { digits, exponent: exponent.parse::<i32>().ok()? - i32::try_from(behind).ok()? })
    }

    /// The same value with a smaller exponent.
    fn at(&self, exponent: i32) -> BigInt {
        &self.digits * power(self.exponent - exponent)
    }

    fn to_float(&self) -> f64 {
        format!("{}e{}", self.digits, self.exponent).parse().unwrap_or(0.0)
    }
}

fn power(exponent: i32) -> BigInt {
    BigInt::from(10).pow(u32::try_from(exponent).unwrap_or(0))
}

fn apply(a: &Decimal, b: &Decimal, operator: char) -> Option<Decimal> {
    let exponent = a.exponent.min(b.exponent);
    Some(match operator {
        '+' => Decimal { digits: a.at(exponent) + b.at(exponent), exponent },
        '-' => Decimal { digits: a.at(exponent) - b.at(exponent), exponent },
        '*' => Decimal { digits: &a.digits * &b.digits, exponent: a.exponent + b.exponent },
        _ => divide(a, b)?,
    })
}

/// Rounded half away from zero at the 16th digit behind the point.
fn divide(a: &Decimal, b: &Decimal) -> Option<Decimal> {
    if b.digits.sign() == Sign::NoSign {
        return None;
    }
    // a / b = (a.digits / b.digits) * 10^(a.exponent - b.exponent); scale to 10^-DIVISION.
    let scale = a.exponent - b.exponent + DIVISION;
    let (above, below) = if scale >= 0 {
        (&a.digits * power(scale), b.digits.clone())
    } else {
        (a.digits.clone(), &b.digits * power(-scale))
    };
    let quotient = &above / &below;
    let rest = above - &quotient * &below;
    let twice = rest.magnitude() * 2_u32;
    let negative = (a.digits.sign() == Sign::Minus) != (b.digits.sign() == Sign::Minus);
    let digits = match (twice < *below.magnitude(), negative) {
        (true, _) => quotient,
        (false, true) => quotient - 1,
        (false, false) => quotient + 1,
    };
    Some(Decimal { digits, exponent: -DIVISION })
}

/// sprig's `execDecimalOp`.
pub(super) fn fold(first: &Value, more: &[Value], operator: char) -> Outcome {
    let number = |value: &Value| {
        Decimal::from(to_float(value)).ok_or_else(|| Fault::Message("Cannot create a Decimal from NaN or Inf".into()))
    };
    let mut result = number(first)?;
    for value in more {
        let next = number(value)?;
        // Products can grow without end; beyond any float they are cut off.
        if result.digits.bits() > 1 << 16 {
            return Err(Fault::Limit("a decimal of more than 65536 bits".into()));
        }
        let Some(done) = apply(&result, &next, operator) else {
            return Fault::new("decimal division by 0");
        };
        result = done;
    }
    Ok(Value::Float(result.to_float()))
}
