//! Both kinds of encryption over plain buffers.

use super::*;

const PHRASE: &str = "correct horse battery staple";

fn cipher(algorithm: Option<&str>, envelope: Option<&str>, phrase: &str) -> Result<Option<Cipher>> {
    Cipher::choose(algorithm.map(OsStr::new), envelope.map(OsStr::new), || phrase.into())
}

pub fn all(phrase: &str) -> Vec<Cipher> {
    ["AES-128-CFB", "aes-192-cfb", "Aes-256-Cfb"]
        .map(|name| cipher(Some(name), None, phrase).unwrap().unwrap())
        .into_iter()
        .chain([cipher(None, Some("aead-v1"), phrase).unwrap().unwrap()])
        .collect()
}

pub fn envelope(phrase: &str) -> Cipher {
    cipher(Some("AES-256-CFB"), Some("aead-v1"), phrase).unwrap().unwrap()
}

pub fn seal(cipher: &Cipher, input: &[u8]) -> Vec<u8> {
    let mut sink = cipher.encrypt(Vec::new()).unwrap();
    sink.write_all(input).unwrap();
    sink.finish().unwrap()
}

/// Decrypts; an error comes with what was emitted before it.
pub fn open(cipher: &Cipher, stored: &[u8]) -> std::result::Result<Vec<u8>, (io::Error, Vec<u8>)> {
    let mut out = Vec::new();
    let opened = cipher.decrypt(Box::new(io::Cursor::new(stored.to_vec())));
    match opened.and_then(|mut source| source.read_to_end(&mut out)) {
        Ok(_) => Ok(out),
        Err(error) => Err((error, out)),
    }
}

fn found(error: &io::Error) -> &CipherError {
    error.get_ref().unwrap().downcast_ref().unwrap()
}

#[test]
fn sizes_are_a_function_of_each_other() {
    let frame = envelope::FRAME;
    for cipher in all(PHRASE) {
        for size in [0, 1, 15, 16, 17, frame - 1, frame, frame + 1, 2 * frame, 3 * frame + 5] {
            let input = vec![b'x'; size];
            let stored = seal(&cipher, &input);
            assert_eq!(cipher.plain_size(stored.len() as u64), size as u64, "{}", cipher.suffix());
            assert!(open(&cipher, &stored).unwrap() == input);
        }
        for stored in 0..200 {
            assert!(cipher.plain_size(stored) <= stored);
        }
        assert!(seal(&cipher, b"x") != seal(&cipher, b"x"), "each object is another");
    }
}

#[test]
fn half_a_configuration_is_refused_and_says_which_half() {
    assert!(cipher(None, None, PHRASE).unwrap().is_none());
    for (algorithm, envelope, phrase, says) in [
        (Some("AES-256-CFB"), None, "", "DATASAFED_ENCRYPTION_PASS_PHRASE is not set"),
        (None, Some("aead-v1"), "", "DATASAFED_ENCRYPTION_PASS_PHRASE is not set"),
        (Some("AES-256-GCM"), None, PHRASE, "AES-128-CFB, AES-192-CFB, AES-256-CFB"),
        (Some("AES-256-GCM"), Some("aead-v1"), PHRASE, "AES-128-CFB"),
        (Some("AES-256-CFB"), Some("aead-v2"), PHRASE, "DATASAFED_MOVER_ENVELOPE is \"aead-v2\""),
    ] {
        let error = cipher(algorithm, envelope, phrase).map(drop).unwrap_err().to_string();
        assert!(error.contains(says) && !error.contains(PHRASE), "{error}");
    }
}

#[test]
fn md7_an_envelope_tells_a_wrong_phrase_before_a_byte_is_emitted() {
    for size in [0, 5, 200_000] {
        let stored = seal(&envelope(PHRASE), &vec![7; size]);
        let (error, emitted) = open(&envelope("another"), &stored).unwrap_err();
        assert!(matches!(found(&error), CipherError::WrongPhrase) && emitted.is_empty());
    }
    let (error, _) =
        open(&envelope(PHRASE), b"plain text, longer than the header of an envelope is, so that all of it is there")
            .unwrap_err();
    assert!(matches!(found(&error), CipherError::NotEnvelope));
    let mut next = seal(&envelope(PHRASE), b"x");
    next[7] = 2;
    let (error, _) = open(&envelope(PHRASE), &next).unwrap_err();
    assert!(matches!(found(&error), CipherError::NotEnvelope));
}

#[test]
fn every_flip_and_every_cut_of_an_envelope_is_refused() {
    let cipher = envelope(PHRASE);
    let input: Vec<u8> = (0..100u8).collect();
    let stored = seal(&cipher, &input);
    for place in 0..stored.len() {
        let mut flipped = stored.clone();
        flipped[place] ^= 1 << (place % 8);
        let (_, emitted) = open(&cipher, &flipped).unwrap_err();
        assert!(emitted.is_empty(), "byte {place}");
    }
    for length in 0..stored.len() {
        assert!(open(&cipher, &stored[..length]).is_err(), "cut to {length}");
    }
    assert!(open(&cipher, &[&stored[..], b"x"].concat()).is_err());
}

#[test]
fn frames_cannot_be_moved_doubled_dropped_or_added() {
    let cipher = envelope(PHRASE);
    let frame = envelope::FRAME;
    let input: Vec<u8> = (0..=250u8).cycle().take(frame * 3 + 10).collect();
    let stored = seal(&cipher, &input);
    let (header, body) = stored.split_at(envelope::HEADER);
    let frames: Vec<&[u8]> = body.chunks(frame + 16).collect();
    let other = seal(&cipher, &input);
    let others: Vec<&[u8]> = other[envelope::HEADER..].chunks(frame + 16).collect();
    assert_eq!(frames.len(), 4);
    // What is wrong, the frames, how many of them are authentic where they stand.
    for (what, order, authentic) in [
        ("swapped", vec![frames[1], frames[0], frames[2], frames[3]], 0),
        ("doubled", vec![frames[0], frames[0], frames[1], frames[2], frames[3]], 1),
        ("dropped", vec![frames[0], frames[2], frames[3]], 1),
        ("without the last", vec![frames[0], frames[1], frames[2]], 2),
        ("only the first", vec![frames[0]], 0),
        ("no frame", vec![], 0),
        ("one more", vec![frames[0], frames[1], frames[2], frames[3], frames[3]], 3),
        ("of another object", vec![frames[0], others[1], frames[2], frames[3]], 1),
    ] {
        let wrong = [&[header][..], &order].concat().concat();
        let (error, emitted) = open(&cipher, &wrong).unwrap_err();
        assert!(matches!(found(&error), CipherError::Frame(_)), "{what}: {error}");
        assert!(emitted == input[..frame * authentic], "{what}: {} bytes", emitted.len());
    }
    // The header of one object with the frames of another.
    assert!(open(&cipher, &[header, &other[envelope::HEADER..]].concat()).is_err());
}

#[test]
fn nothing_comes_out_after_a_damaged_frame_however_often_one_asks() {
    let cipher = envelope(PHRASE);
    let mut stored = seal(&cipher, &vec![1; envelope::FRAME * 3]);
    stored[envelope::HEADER + envelope::FRAME + 100] ^= 1;
    let mut source = cipher.decrypt(Box::new(io::Cursor::new(stored))).unwrap();
    let mut emitted = Vec::new();
    assert!(source.read_to_end(&mut emitted).is_err());
    assert_eq!(emitted.len(), envelope::FRAME);
    assert!(source.read_to_end(&mut emitted).is_err());
    assert_eq!(emitted.len(), envelope::FRAME);
}

#[test]
fn an_object_shorter_than_its_iv_is_an_error() {
    for cipher in all(PHRASE) {
        for length in [0, 15] {
            assert!(open(&cipher, &vec![b'H'; length]).is_err());
        }
    }
}
