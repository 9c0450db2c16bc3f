//! Everything that reads bytes of others, fed with damaged ones: a loop of mutations over valid
//! seeds, without tools that need another compiler.
//!
//! `HOLDFAST_FUZZ_SECONDS` is the time for each target, 1 by default; `make crash` gives 60. A
//! failure prints seed and input. `HOLDFAST_FUZZ_SEED` repeats a run. A panic, an output larger
//! than the input can claim, and memory beyond [`MEMORY`] are failures.

use std::io::Read;
use std::time::{Duration, Instant};

use crate::chain_tests::store;
use crate::cipher;
use crate::codec::tests::{codec, mixture};
use crate::codec::{self, Trailer};
use crate::ini::Ini;
use crate::store::buffered;

/// Largest resident size of the test process: windows of 128 MiB are allowed, and tests beside.
const MEMORY: u64 = 1 << 30;
/// Reading stops here: a small object may well claim to be a large one.
const MOST: u64 = 8 << 20;

/// A small generator; quality does not matter, repeatability does.
struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % below.max(1)
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.next(256)).unwrap()
    }
}

/// Damages an input a little.
fn mutate(random: &mut Random, input: &mut Vec<u8>, seeds: &[Vec<u8>]) {
    for _ in 0..=random.next(4) {
        let place = random.next(input.len());
        let end = (place + 1 + random.next(64)).min(input.len());
        match random.next(9) {
            0 | 1 if !input.is_empty() => input[place] ^= 1 << random.next(8),
            2 if !input.is_empty() => input[place] = random.byte(),
            3 if !input.is_empty() => input[place] = [0, 1, 0x7f, 0x80, 0xff][random.next(5)],
            4 => input.truncate(place),
            5 => {
                let piece = input[place.min(end)..end].to_vec();
                input.splice(place..place, piece);
            }
            6 => drop(input.drain(place.min(end)..end)),
            7 => {
                let other = &seeds[random.next(seeds.len())];
                let from = random.next(other.len());
                input.truncate(place);
                input.extend_from_slice(&other[from..]);
            }
            _ => input.splice(place..place, (0..4).map(|_| 0xff)).for_each(drop),
        }
    }
    input.truncate(1 << 20);
}

/// Largest resident size of this process so far.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// Runs a target over mutations of its seeds. The target says what is wrong with an outcome.
fn fuzz(name: &str, seeds: &[Vec<u8>], target: impl Fn(&[u8]) -> Result<(), String>) {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let time = Duration::from_secs(number("HOLDFAST_FUZZ_SECONDS").unwrap_or(1));
    let seed = number("HOLDFAST_FUZZ_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    let mut random = Random(seed);
    let begun = Instant::now();
    let mut inputs = 0u64;
    for seed in seeds {
        target(seed).unwrap();
    }
    while begun.elapsed() < time {
        let mut input = seeds[random.next(seeds.len())].clone();
        mutate(&mut random, &mut input, seeds);
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| target(&input)));
        inputs += 1;
        let wrong = match outcome {
            Ok(Ok(())) if inputs.is_multiple_of(1000) && resident() > MEMORY => {
                format!("{} bytes resident", resident())
            }
            Ok(Ok(())) => continue,
            Ok(Err(wrong)) => wrong,
            Err(_) => "it panicked".to_owned(),
        };
        panic!("{name}: {wrong}; HOLDFAST_FUZZ_SEED={seed}, input {inputs}: {}", hex::encode(&input));
    }
    println!("fuzz {name}: {inputs} inputs in {} s, seed {seed}", time.as_secs());
}

/// Reads a decoder dry, to a limit; gives what came, and whether it ended well.
fn drain(source: std::io::Result<impl Read>) -> (Vec<u8>, bool) {
    let mut out = Vec::new();
    let ended = source.and_then(|source| source.take(MOST).read_to_end(&mut out)).is_ok();
    (out, ended)
}

fn decoder(name: &str, input: &[u8]) -> (Vec<u8>, bool) {
    drain(codec::decoder(Box::new(std::io::Cursor::new(input.to_vec())), Some(codec(name))))
}

/// Contents of several shapes, compressed.
fn compressed(name: &str, trailer: Trailer) -> Vec<Vec<u8>> {
    [mixture(3), mixture(3000), mixture(90_000), vec![0; 70_000]]
        .map(|content| store(&[&content], Some(name), trailer, None))
        .to_vec()
}

#[test]
fn fuzz_configuration() {
    let seeds = [
        "[storage]\ntype = s3\nroot = bucket/prefix\nsecret_access_key = a#b;c\n# comment\nendpoint =\n",
        "[storage]\npass.need_obscure = 'x'\nlong = a \\\n b\nq = \"\"\"a\nb\"\"\"\n[other]\nk: v ; c\n",
        "k=`v`\n\n;x\n[a]\n[b]\n=\n",
    ]
    .map(|text| text.as_bytes().to_vec());
    fuzz("configuration", &seeds, |input| {
        let text = String::from_utf8_lossy(input);
        if let Ok(settings) = Ini::parse(&text) {
            let value = settings.get("storage", "secret_access_key").unwrap_or_default();
            if value.len() > text.len() {
                return Err("a value longer than the file".to_owned());
            }
        }
        Ok(())
    });
}

#[test]
fn fuzz_zstd_with_trailer() {
    let seeds = [compressed("zstd", Trailer::On), compressed("zstd-fastest", Trailer::Off)].concat();
    let valid = seeds.clone();
    fuzz("zstd with trailer", &seeds, |input| {
        let (_, ended) = decoder("zstd", input);
        // A damaged object with our marker that ends well must be one of the seeds, or several.
        let marked = valid[0].get(..16).is_some_and(|marker| input.starts_with(marker));
        let mut rest = input;
        while let Some(seed) = valid.iter().find(|seed| !seed.is_empty() && rest.starts_with(seed)) {
            rest = &rest[seed.len()..];
        }
        if ended && marked && !rest.is_empty() { Err("a damaged object was accepted".to_owned()) } else { Ok(()) }
    });
}

#[test]
fn fuzz_other_codecs() {
    for name in ["gzip", "deflate-default", "lz4"] {
        fuzz(name, &compressed(name, Trailer::Off), |input| {
            decoder(name, input);
            Ok(())
        });
    }
}

#[test]
fn fuzz_s2() {
    // Of the Go library, for the copies that Snappy does not have.
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
    let mut seeds = compressed("s2-default", Trailer::Off);
    for name in ["small.s2-default", "wide.s2-default", "text.s2-better"] {
        seeds.push(std::fs::read(format!("{golden}/{name}")).unwrap());
    }
    fuzz("s2", &seeds, |input| {
        decoder("s2-default", input);
        Ok(())
    });
}

#[test]
fn fuzz_envelope() {
    let cipher = cipher::tests::envelope("a phrase");
    let contents = [vec![], b"x".to_vec(), mixture(70_000), mixture(150_000)];
    let seeds = contents.clone().map(|content| store(&[&content], None, Trailer::On, Some(&cipher))).to_vec();
    let valid = seeds.clone();
    fuzz("envelope", &seeds, |input| {
        let (out, ended) = drain(cipher.decrypt(Box::new(std::io::Cursor::new(input.to_vec()))));
        if !contents.iter().any(|content| content.starts_with(&out)) {
            return Err("bytes that are not authentic".to_owned());
        }
        if ended && !valid.iter().any(|seed| seed == input) {
            return Err("a damaged object was accepted".to_owned());
        }
        if ended && cipher.plain_size(input.len() as u64) != out.len() as u64 {
            return Err("another size than computed".to_owned());
        }
        Ok(())
    });
}

#[test]
fn fuzz_enc() {
    let ciphers = cipher::tests::all("a phrase");
    let seeds: Vec<_> = ciphers
        .iter()
        .take(3)
        .flat_map(|cipher| {
            compressed("zstd", Trailer::On).into_iter().map(|content| cipher::tests::seal(cipher, &content))
        })
        .collect();
    fuzz("enc", &seeds, |input| {
        for cipher in ciphers.iter().take(3) {
            let (out, ended) = drain(cipher.decrypt(Box::new(std::io::Cursor::new(input.to_vec()))));
            if ended && out.len() as u64 != cipher.plain_size(input.len() as u64) {
                return Err("another size than computed".to_owned());
            }
            let source = cipher.decrypt(Box::new(std::io::Cursor::new(input.to_vec())));
            drain(source.and_then(|source| codec::decoder(buffered(source), Some(codec("zstd")))));
        }
        Ok(())
    });
}
