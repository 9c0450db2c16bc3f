//! Compression through the built binary: every codec, the reference's objects, stock programs.

use std::fs;

use crate::bench::Bench;
use crate::golden;

const CODECS: [(&str, &str); 18] = [
    ("deflate-best-compression", "deflate-default"),
    ("deflate-best-speed", "deflate-default"),
    ("deflate-default", "deflate-best-speed"),
    ("gzip", "pgzip"),
    ("gzip-best-compression", "gzip"),
    ("gzip-best-speed", "gzip"),
    ("lz4", "lz4"),
    ("pgzip", "gzip"),
    ("pgzip-best-compression", "gzip"),
    ("pgzip-best-speed", "gzip"),
    ("s2-better", "s2-default"),
    ("s2-default", "s2-better"),
    ("s2-parallel-4", "s2-default"),
    ("s2-parallel-8", "s2-default"),
    ("zstd", "zstd-fastest"),
    ("zstd-best-compression", "zstd"),
    ("zstd-better-compression", "zstd"),
    ("zstd-fastest", "zstd"),
];

#[test]
fn case_16_case_17_all_codecs_round_trip_through_the_store() {
    let bench = Bench::new();
    let text = "some text that compresses, some text that compresses\n".repeat(5000);
    for (codec, family) in CODECS {
        for (name, content) in [("full", text.as_str()), ("empty", "")] {
            bench.run_with(["push", "-z", codec, "-", name], content.as_bytes()).ok("");
            for read in [codec, family] {
                bench.run(["pull", "-d", read, name, "-"]).ok(content);
                bench.run(["pull", "-d", read, name, "file"]).ok("");
                assert!(fs::read(bench.work("file")).unwrap() == content.as_bytes(), "{codec} {read}");
            }
        }
        assert!(fs::metadata(bench.repo("full")).unwrap().len() < text.len() as u64 / 10, "{codec}");
    }
}

#[test]
fn case_19_cut_objects_of_every_codec_commit_nothing() {
    let bench = Bench::new();
    let text = "some text that compresses, some text that compresses\n".repeat(5000);
    fs::write(bench.work("old"), "old").unwrap();
    for (codec, family) in CODECS {
        bench.run_with(["push", "-z", codec, "-", "whole"], text.as_bytes()).ok("");
        let whole = fs::read(bench.repo("whole")).unwrap();
        for cut in [1, whole.len() / 2, whole.len() - 1] {
            fs::write(bench.repo("cut"), &whole[..cut]).unwrap();
            bench.run(["pull", "-d", family, "cut", "old"]).fails("decompression error");
            let seen = bench.run(["pull", "-d", family, "cut", "-"]);
            seen.fails("decompression error");
            assert!(text.starts_with(&seen.stdout), "{codec}");
        }
        assert_eq!(fs::read(bench.work("old")).unwrap(), b"old");
    }
}

#[test]
fn a_stopped_decoder_error_is_told_from_a_storage_error() {
    let bench = Bench::new();
    bench.put("plain", b"not compressed");
    bench.run(["pull", "-d", "gzip", "plain", "-"]).fails("decompression error: the object does not start");
    bench.run(["pull", "-d", "gzip", "none", "-"]).fails("object not found");
}

#[test]
fn case_16_objects_that_go_wrote_decode() {
    let bench = Bench::new();
    let mut seen = 0;
    for (codec, family) in CODECS {
        for content in ["empty", "small", "text", "wide"] {
            let stored = golden::dir().join(format!("{content}.{codec}"));
            let Ok(stored) = fs::read(&stored) else {
                panic!("{} is missing: go run . write in golden-go", stored.display())
            };
            fs::write(bench.repo("o"), stored).unwrap();
            for read in [codec, family] {
                bench.run(["pull", "-d", read, "o", "file"]).ok("");
                assert!(fs::read(bench.work("file")).unwrap() == golden::plain(content), "{content}.{codec} as {read}");
            }
            seen += 1;
        }
    }
    println!("{seen} objects");
}

#[test]
fn case_16_go_reads_what_we_write() {
    let bench = Bench::new();
    let objects = bench.work("objects");
    fs::create_dir(&objects).unwrap();
    for (codec, _) in CODECS {
        for content in ["empty", "small", "text", "wide"] {
            bench.run_with(["push", "-z", codec, "-", "o"], &golden::plain(content)).ok("");
            fs::copy(bench.repo("o"), objects.join(format!("{content}.{codec}"))).unwrap();
        }
    }
    golden::go("read", &objects, CODECS.len() * 4);
}
