//! All layers together over plain buffers: compression, encryption, any pieces in and out.

use std::io::{self, Read, Write};

use proptest::prelude::*;

use crate::cipher::{self, Cipher};
use crate::codec::tests::{Dribble, codec, names};
use crate::codec::{self, Encoder, Trailer};

/// What a push writes: source, compressor, cipher, store.
pub fn store(pieces: &[&[u8]], codec_name: Option<&str>, trailer: Trailer, cipher: Option<&Cipher>) -> Vec<u8> {
    let feed = |sink: &mut dyn Write| pieces.iter().try_for_each(|piece| sink.write_all(piece)).unwrap();
    let compress = codec_name.map(codec);
    match cipher {
        None => {
            let mut sink = Encoder::new(Vec::new(), compress, trailer);
            feed(&mut sink);
            sink.finish().unwrap()
        }
        Some(cipher) => {
            let mut sink = Encoder::new(cipher.encrypt(Vec::new()).unwrap(), compress, trailer);
            feed(&mut sink);
            sink.finish().unwrap().finish().unwrap()
        }
    }
}

/// What a pull reads. An error comes with what was emitted before it.
pub fn fetch(
    stored: Vec<u8>,
    piece: usize,
    codec_name: Option<&str>,
    cipher: Option<&Cipher>,
) -> Result<Vec<u8>, (io::Error, Vec<u8>)> {
    let source: Box<dyn Read> = Box::new(Dribble(io::Cursor::new(stored), piece));
    let mut out = Vec::new();
    let opened = match cipher {
        None => Ok(source),
        Some(cipher) => cipher.decrypt(source),
    };
    let buffered = |source| Box::new(io::BufReader::with_capacity(piece, source));
    let decoded = opened.and_then(|source| codec::decoder(buffered(source), codec_name.map(codec)));
    match decoded.and_then(|source| Dribble(source, piece * 3).read_to_end(&mut out)) {
        Ok(_) => Ok(out),
        Err(error) => Err((error, out)),
    }
}

/// Content: what compresses, what does not, and sizes around the frames of the envelope.
fn content() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..300),
        (prop::collection::vec(any::<u8>(), 1..40), 0..5000usize).prop_map(|(part, times)| part.repeat(times)),
        (65_500..65_600usize).prop_map(codec::tests::mixture),
        (0..300_000usize).prop_map(codec::tests::mixture),
    ]
}

fn codecs() -> impl Strategy<Value = Option<&'static str>> {
    prop::option::of(prop::sample::select(names().collect::<Vec<_>>()))
}

/// 0 is none, then the three of the reference, then the envelope.
fn choose(which: usize) -> Option<Cipher> {
    which.checked_sub(1).and_then(|which| cipher::tests::all("a phrase").into_iter().nth(which))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_stream_through_any_layers_in_any_pieces_comes_back(
        content in content(),
        codec_name in codecs(),
        which in 0..5usize,
        bare in any::<bool>(),
        piece_in in 1..100_000usize,
        piece_out in 1..100_000usize,
    ) {
        let cipher = choose(which);
        let trailer = if bare { Trailer::Off } else { Trailer::On };
        let pieces: Vec<&[u8]> = content.chunks(piece_in).collect();
        let stored = store(&pieces, codec_name, trailer, cipher.as_ref());
        if codec_name.is_none() && let Some(cipher) = &cipher {
            prop_assert_eq!(cipher.plain_size(stored.len() as u64), content.len() as u64);
        }
        let read = fetch(stored, piece_out, codec_name, cipher.as_ref()).map_err(|(error, _)| error);
        prop_assert!(read.unwrap() == content);
    }

    #[test]
    fn any_flip_or_cut_of_an_envelope_is_refused_and_only_authentic_bytes_come_out(
        content in content(),
        place in any::<prop::sample::Index>(),
        bit in 0..8u8,
        cut in any::<bool>(),
    ) {
        let cipher = cipher::tests::envelope("a phrase");
        let mut stored = store(&[&content], None, Trailer::On, Some(&cipher));
        let place = place.index(stored.len());
        if cut {
            stored.truncate(place);
        } else {
            stored[place] ^= 1 << bit;
        }
        let (_, emitted) = fetch(stored, 4096, None, Some(&cipher)).unwrap_err();
        // Whole frames in front of the damaged one, and not a byte of it.
        let authentic = place.saturating_sub(cipher::envelope::HEADER) / (cipher::envelope::FRAME + 16);
        prop_assert!(emitted.len() <= authentic * cipher::envelope::FRAME);
        prop_assert!(content.starts_with(&emitted));
    }

    #[test]
    fn any_flip_or_cut_of_an_object_with_trailer_is_refused(
        content in content(),
        name in prop::sample::select(vec!["zstd", "zstd-fastest", "zstd-best-compression"]),
        place in any::<prop::sample::Index>(),
        bit in 0..8u8,
        cut in any::<bool>(),
    ) {
        let mut stored = store(&[&content], Some(name), Trailer::On, None);
        prop_assume!(!stored.is_empty());
        let place = place.index(stored.len());
        if cut {
            // An object of no bytes at all is what empty input is.
            stored.truncate(place.max(1));
        } else {
            stored[place] ^= 1 << bit;
        }
        prop_assert!(fetch(stored, 4096, Some("zstd"), None).is_err());
    }
}
