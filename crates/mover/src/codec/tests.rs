//! Every codec over plain buffers: what comes back, what is refused, what stock programs read.

use std::process::{Command, Stdio};

use super::*;

/// Gives bytes in pieces of at most this size, as pipes and networks do.
pub struct Dribble<R>(pub R, pub usize);

impl<R: Read> Read for Dribble<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = into.len().min(self.1);
        self.0.read(&mut into[..count])
    }
}

pub fn codec(name: &str) -> Codec {
    Codec::parse(name, "-z").unwrap()
}

pub fn names() -> impl Iterator<Item = &'static str> {
    KNOWN.iter().map(|(name, ..)| *name)
}

pub fn encode_as(input: &[u8], name: &str, trailer: Trailer) -> Vec<u8> {
    let mut sink = Encoder::new(Vec::new(), Some(codec(name)), trailer);
    sink.write_all(input).unwrap();
    sink.finish().unwrap()
}

pub fn encode(input: &[u8], name: &str) -> Vec<u8> {
    encode_as(input, name, Trailer::On)
}

/// Decodes; an error comes with what was emitted before it.
pub fn decode(stored: &[u8], name: &str) -> std::result::Result<Vec<u8>, (io::Error, Vec<u8>)> {
    let mut out = Vec::new();
    let source = Box::new(io::BufReader::with_capacity(1000, io::Cursor::new(stored.to_vec())));
    match decoder(source, Some(codec(name))).and_then(|mut source| source.read_to_end(&mut out)) {
        Ok(_) => Ok(out),
        Err(error) => Err((error, out)),
    }
}

/// Text with near and far repetitions, and noise that does not compress.
pub fn mixture(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let mut out = Vec::with_capacity(length + 64);
    while out.len() < length {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        match state >> 30 {
            0 => out.extend_from_slice(&state.to_le_bytes()),
            1 => out.extend_from_slice(b"INSERT INTO accounts VALUES ("),
            2 => out.extend(std::iter::repeat_n(b' ', (state >> 8) as usize % 50)),
            _ => {
                let far = (state >> 4) as usize % (out.len() + 1);
                let piece = out[far..(far + 40).min(out.len())].to_vec();
                out.extend(piece);
            }
        }
    }
    out.truncate(length);
    out
}

#[test]
fn case_16_every_codec_comes_back_with_every_name_of_its_family() {
    for size in [1, 17, 4096, 70_000, 1_500_000] {
        let input = mixture(size);
        for name in names() {
            let stored = encode(&input, name);
            for other in names().filter(|other| codec(other).family == codec(name).family) {
                assert!(decode(&stored, other).unwrap() == input, "{name} read as {other}, {size} bytes");
            }
        }
    }
}

#[test]
fn case_17_empty_input_comes_back_empty() {
    for name in names() {
        let stored = encode(b"", name);
        assert!(decode(&stored, name).unwrap().is_empty(), "{name}");
        let empty = matches!(codec(name).family, Family::Zstd | Family::S2);
        assert_eq!(stored.is_empty(), empty, "{name}");
    }
    for name in ["zstd", "s2-default"] {
        assert!(decode(b"", name).unwrap().is_empty(), "{name}");
    }
    for name in ["gzip", "deflate-default", "lz4"] {
        assert!(decode(b"", name).is_err(), "{name}: an empty object is a cut one");
    }
}

#[test]
fn case_16_many_frames_and_skippable_frames_decode() {
    // A skippable frame: magic 0x184D2A50, length 3, three bytes.
    let skippable = [0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];
    for name in ["zstd", "lz4"] {
        let (one, two) = (encode_as(b"one", name, Trailer::Off), encode_as(b"two", name, Trailer::Off));
        let stored = [&skippable, &one[..], &skippable, &skippable, &two, &skippable].concat();
        assert_eq!(decode(&stored, name).unwrap(), b"onetwo", "{name}");
        assert_eq!(decode(&skippable, name).unwrap(), b"", "{name}");
    }
    for name in ["gzip", "s2-default"] {
        let stored = [encode(b"one", name), encode(b"two", name)].concat();
        assert_eq!(decode(&stored, name).unwrap(), b"onetwo", "{name}");
    }
}

#[test]
fn case_19_every_cut_is_noticed_and_what_came_before_is_emitted() {
    let input = mixture(3000);
    for name in names() {
        let stored = encode(&input, name);
        // One chunk: its end, and the end of the name before it, are no cuts for S2.
        let blind: &[usize] = if name.starts_with("s2-") { &[10] } else { &[] };
        for length in 1..stored.len() {
            match decode(&stored[..length], name) {
                Ok(_) => assert!(blind.contains(&length), "{name} cut to {length} of {}", stored.len()),
                Err((_, emitted)) => assert!(input.starts_with(&emitted), "{name} cut to {length}"),
            }
        }
    }
    let (whole, large) = (mixture(3 << 20), encode(&mixture(3 << 20), "zstd"));
    let (_, emitted) = decode(&large[..large.len() - 9], "zstd").unwrap_err();
    assert!(emitted == whole, "all but the trailer was there");
}

#[test]
fn junk_behind_the_end_is_noticed_after_all_was_emitted() {
    let input = mixture(3000);
    for name in names() {
        for trailer in [Trailer::On, Trailer::Off] {
            let stored = encode_as(&input, name, trailer);
            for junk in [&b"x"[..], b"junk", b"a longer piece of junk", &[0; 64]] {
                let (_, emitted) = decode(&[&stored[..], junk].concat(), name).unwrap_err();
                assert!(emitted == input, "{name}");
            }
        }
    }
}

#[test]
fn case_16_every_flip_and_cut_of_an_object_with_trailer_is_noticed() {
    let input = mixture(700);
    let stored = encode(&input, "zstd-fastest");
    for place in 0..stored.len() {
        for bit in 0..8 {
            let mut flipped = stored.clone();
            flipped[place] ^= 1 << bit;
            assert!(decode(&flipped, "zstd").is_err(), "bit {bit} of byte {place}");
        }
    }
    for length in 1..stored.len() {
        assert!(decode(&stored[..length], "zstd").is_err(), "cut to {length}");
    }
}

#[test]
fn case_16_an_object_with_trailer_cannot_be_cut_joined_or_lengthened_at_frames() {
    let frame = encode_as(b"data", "zstd", Trailer::Off);
    let stored = encode(b"data", "zstd");
    let (marker, rest) = stored.split_at(trailer::marker().len());
    assert_eq!(marker, trailer::marker());
    let (body, end) = rest.split_at(rest.len() - TRAILER_FRAME);
    assert_eq!(body, frame);
    for (what, wrong) in [
        ("only the marker", marker.to_vec()),
        ("no trailer", [marker, body].concat()),
        ("no marker", [body, end].concat()),
        ("only the trailer", end.to_vec()),
        ("a frame more", [marker, body, body, end].concat()),
        ("a frame behind", [&stored[..], body].concat()),
        ("a marker behind", [&stored[..], marker].concat()),
        ("an object and half", [&stored[..], marker, body].concat()),
        ("a skippable frame behind", [&stored[..], &[0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0]].concat()),
        ("our frame behind", [&stored[..], &[0x57, 0x2a, 0x4d, 0x18, 0, 0, 0, 0]].concat()),
        ("another frame", [marker, &encode_as(b"DATA", "zstd", Trailer::Off), end].concat()),
        ("two markers", [marker, marker, body, end].concat()),
    ] {
        assert!(decode(&wrong, "zstd").is_err(), "{what}");
    }
    assert_eq!(decode(&[&stored[..], &stored].concat(), "zstd").unwrap(), b"datadata");
    // Ours or not: the marker asks for the trailer, not the frame that others write.
    assert_eq!(decode(&frame, "zstd").unwrap(), b"data");
}

const TRAILER_FRAME: usize = 8 + trailer::TRAILER_LENGTH;

#[test]
fn another_format_is_refused_before_a_byte_is_emitted() {
    for (name, other) in [("zstd", "gzip"), ("gzip", "zstd"), ("lz4", "gzip"), ("s2-default", "lz4")] {
        let (error, emitted) = decode(&encode(&mixture(100), other), name).unwrap_err();
        assert!(error.get_ref().unwrap().is::<NotThisCodec>() && emitted.is_empty(), "{name}");
    }
}

#[test]
fn frames_have_a_checksum_and_a_window_that_every_reader_takes() {
    for name in names().filter(|name| codec(name).family == Family::Zstd) {
        let stored = encode_as(&mixture(1 << 20), name, Trailer::Off);
        assert_eq!(stored[4] & 0b0010_0100, 4, "{name}: a checksum, a window");
        let window = 1u64 << (10 + (stored[5] >> 3));
        assert!(window <= 4 << 20, "{name}: {window}");
    }
}

#[test]
fn s2_blocks_repeat_offsets_and_refuse_nonsense() {
    let block = |bytes: &[u8]| {
        let mut out = Vec::new();
        s2_block::decode(bytes, &mut out).map(|()| out)
    };
    // "abcd", copy 4 from 4 back, then repeat the offset: short, and with one byte of length.
    assert_eq!(block(&[8, 3 << 2, b'a', b'b', b'c', b'd', 1, 4]).unwrap(), b"abcdabcd");
    assert_eq!(block(&[12, 3 << 2, b'a', b'b', b'c', b'd', 1, 4, 1, 0]).unwrap(), b"abcdabcdabcd");
    let long = block(&[18, 3 << 2, b'a', b'b', b'c', b'd', 1, 4, 5 << 2 | 1, 0, 2]).unwrap();
    assert_eq!(long, b"abcdabcdabcdabcdab");
    for (what, wrong) in [
        ("nothing", &[][..]),
        ("too short", &[2, 0, b'a']),
        ("too long", &[1, 1 << 2, b'a', b'b']),
        ("before the start", &[5, 0, b'a', 1, 2]),
        ("a repetition of nothing", &[5, 0, b'a', 1, 0]),
        ("a copy beyond the length", &[3, 0, b'a', 1, 1]),
        ("an offset of 0", &[2, 0, b'a', 2, 0, 0]),
        ("a cut literal", &[4, 3 << 2, b'a']),
        ("a claim of 4 GiB", &[0xff, 0xff, 0xff, 0xff, 0x0f]),
        ("a claim without end", &[0xff; 12]),
    ] {
        assert!(block(wrong).is_none(), "{what}");
    }
}

/// Runs a stock program over bytes; `None` when it is not installed.
fn stock(program: &str, args: &[&str], input: &[u8]) -> Option<Vec<u8>> {
    let mut child = match Command::new(program).args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            println!("SKIPPED({program} missing): interoperation with it");
            return None;
        }
        other => other.unwrap(),
    };
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input).unwrap());
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{program} {args:?}");
        Some(output.stdout)
    })
}

#[test]
fn case_16_stock_programs_read_ours_and_ours_reads_theirs() {
    for input in [mixture(2_000_000), b"x".to_vec(), vec![]] {
        for (program, ours) in [("zstd", Family::Zstd), ("gzip", Family::Gzip), ("lz4", Family::Lz4)] {
            for name in names().filter(|name| codec(name).family == ours) {
                let stored = encode(&input, name);
                if stored.is_empty() {
                    continue;
                }
                let Some(read) = stock(program, &["-dc"], &stored) else { break };
                assert!(read == input, "{program} reads {name}");
            }
            for level in ["-1", "-9"] {
                let Some(stored) = stock(program, &["-c", level], &input) else { break };
                let name = names().find(|name| codec(name).family == ours).unwrap();
                assert!(decode(&stored, name).unwrap() == input, "we read {program} {level}");
            }
        }
    }
}

#[test]
fn stock_zstd_with_a_large_window_and_linked_lz4_blocks_are_read() {
    let input = mixture(3_000_000);
    if let Some(stored) = stock("zstd", &["-c", "--long=27", "-3"], &input) {
        assert!(decode(&stored, "zstd").unwrap() == input);
    }
    if let Some(stored) = stock("lz4", &["-c", "-BD", "-B4"], &input) {
        assert!(decode(&stored, "lz4").unwrap() == input);
    }
}
