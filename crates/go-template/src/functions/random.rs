//! Randomness, from the source the caller gives.

use super::Param::{Int, Text};
use super::strings::text;
use super::{Env, Function, Outcome, encoding, fixed};
use crate::error::Fault;
use crate::runes;
use crate::value::Value;

pub(super) const ALL: &[Function] = &[
    fixed("randAlpha", &[Int], |env, a| from(env, a.int(0), &letters(false))),
    fixed("randAlphaNum", &[Int], |env, a| from(env, a.int(0), &letters(true))),
    fixed("randNumeric", &[Int], |env, a| from(env, a.int(0), b"0123456789")),
    fixed("randAscii", &[Int], |env, a| from(env, a.int(0), &(32..127).collect::<Vec<u8>>())),
    fixed("randBytes", &[Int], rand_bytes),
    fixed("randInt", &[Int, Int], |env, a| {
        let (least, end) = (a.int(0), a.int(1));
        match end.checked_sub(least).and_then(|range| u64::try_from(range).ok()) {
            Some(range) if range > 0 => Ok(Value::int(least + below(env, range)? as i64)),
            _ => Fault::new("invalid argument to Intn"),
        }
    }),
    fixed("shuffle", &[Text], |env, a| {
        let mut chars: Vec<char> = runes::chars(a.text(0)).collect();
        env.budget.steps(chars.len() as u64)?;
        for i in (1..chars.len()).rev() {
            chars.swap(i, below(env, i as u64 + 1)? as usize);
        }
        text(chars.iter().collect::<String>())
    }),
    fixed("uuidv4", &[], uuid),
];

fn letters(digits: bool) -> Vec<u8> {
    let all = (b'a'..=b'z').chain(b'A'..=b'Z');
    if digits { all.chain(b'0'..=b'9').collect() } else { all.collect() }
}

fn fill(env: &Env<'_>, bytes: &mut [u8]) -> Result<(), Fault> {
    if env.random.fill(bytes) { Ok(()) } else { Err("no random bytes".into()) }
}

fn count(env: &Env<'_>, count: i64) -> Result<usize, Fault> {
    let Ok(count) = usize::try_from(count) else {
        return Err("a negative count".into());
    };
    env.budget.bytes(count as u64)?;
    env.budget.steps(count as u64 / 16)?;
    Ok(count)
}

/// A number below `range`, each as likely as any other.
fn below(env: &Env<'_>, range: u64) -> Result<u64, Fault> {
    let usable = u64::MAX - u64::MAX % range;
    loop {
        env.budget.step()?;
        let mut bytes = [0; 8];
        fill(env, &mut bytes)?;
        let number = u64::from_le_bytes(bytes);
        if number < usable {
            return Ok(number % range);
        }
    }
}

fn from(env: &Env<'_>, wanted: i64, alphabet: &[u8]) -> Outcome {
    let wanted = count(env, wanted)?;
    let usable = 256 - 256 % alphabet.len();
    let mut out = Vec::with_capacity(wanted);
    let mut block = [0; 256];
    while out.len() < wanted {
        env.budget.step()?;
        fill(env, &mut block)?;
        let fair = block.iter().map(|b| usize::from(*b)).filter(|b| *b < usable);
        let chars = fair.filter_map(|b| alphabet.get(b % alphabet.len()));
        out.extend(chars.take(wanted - out.len()));
    }
    text(out)
}

fn rand_bytes(env: &Env<'_>, args: &super::Args<'_>) -> Outcome {
    let mut bytes = vec![0; count(env, args.int(0))?];
    fill(env, &mut bytes)?;
    text(encoding::base64(&bytes))
}

fn uuid(env: &Env<'_>, _: &super::Args<'_>) -> Outcome {
    let mut bytes = [0; 16];
    fill(env, &mut bytes)?;
    let number = u128::from_be_bytes(bytes);
    // Version 4, variant 1.
    let number = number & !(0xf << 76) & !(0x3 << 62) | 4 << 76 | 2 << 62;
    let hex = format!("{number:032x}");
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    text([part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-"))
}
