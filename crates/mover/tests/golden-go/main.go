// golden-go writes objects as the reference's libraries write them, and reads ours with them.
//
//	go run . write DIR   every content in every codec, as DIR/CONTENT.CODEC, and encrypted
//	go run . read DIR    checks such files
//	go run . open DIR    checks encrypted ones
//
// The contents follow a rule that codecs.rs knows, too. Nothing here is part of the mover.
package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/klauspost/pgzip"
	"github.com/pierrec/lz4"
)

type codec struct {
	write func(io.Writer) (io.WriteCloser, error)
	read  func(io.Reader) (io.Reader, error)
}

func deflate(level int) codec {
	return codec{
		func(w io.Writer) (io.WriteCloser, error) { return flate.NewWriter(w, level) },
		func(r io.Reader) (io.Reader, error) { return flate.NewReader(r), nil },
	}
}

func gz(level int) codec {
	return codec{
		func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriterLevel(w, level) },
		func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) },
	}
}

func pgz(level int) codec {
	return codec{
		func(w io.Writer) (io.WriteCloser, error) { return pgzip.NewWriterLevel(w, level) },
		func(r io.Reader) (io.Reader, error) { return pgzip.NewReader(r) },
	}
}

func s2s(options ...s2.WriterOption) codec {
	return codec{
		func(w io.Writer) (io.WriteCloser, error) { return s2.NewWriter(w, options...), nil },
		func(r io.Reader) (io.Reader, error) { return s2.NewReader(r), nil },
	}
}

func zst(level zstd.EncoderLevel) codec {
	return codec{
		func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w, zstd.WithEncoderLevel(level)) },
		func(r io.Reader) (io.Reader, error) { return zstd.NewReader(r) },
	}
}

var codecs = map[string]codec{
	"deflate-best-compression": deflate(flate.BestCompression),
	"deflate-best-speed":       deflate(flate.BestSpeed),
	"deflate-default":          deflate(flate.DefaultCompression),
	"gzip":                     gz(gzip.DefaultCompression),
	"gzip-best-compression":    gz(gzip.BestCompression),
	"gzip-best-speed":          gz(gzip.BestSpeed),
	"pgzip":                    pgz(pgzip.DefaultCompression),
	"pgzip-best-compression":   pgz(pgzip.BestCompression),
	"pgzip-best-speed":         pgz(pgzip.BestSpeed),
	"lz4": {
		func(w io.Writer) (io.WriteCloser, error) { return lz4.NewWriter(w), nil },
		func(r io.Reader) (io.Reader, error) { return lz4.NewReader(r), nil },
	},
	"s2-default":              s2s(),
	"s2-better":               s2s(s2.WriterBetterCompression()),
	"s2-parallel-4":           s2s(s2.WriterConcurrency(4)),
	"s2-parallel-8":           s2s(s2.WriterConcurrency(8)),
	"zstd":                    zst(zstd.SpeedDefault),
	"zstd-fastest":            zst(zstd.SpeedFastest),
	"zstd-better-compression": zst(zstd.SpeedBetterCompression),
	"zstd-best-compression":   zst(zstd.SpeedBestCompression),
}

// plain is the content of a name; golden_plain in codecs.rs follows the same rule.
func plain(name string) []byte {
	var length int
	var state uint64
	switch name {
	case "empty":
		return nil
	case "small":
		return []byte("hello, world\n")
	case "text":
		length, state = 100_000, 1
	case "wide":
		length, state = 2_500_000, 2
	case "page":
		length, state = 1000, 3
	case "frames":
		length, state = 1<<16+100, 4
	}
	words := []string{"INSERT", "INTO", "accounts", "VALUES", "(42,", "'alice')", "\n", "\x00\x01", "COMMIT;", "0000000000"}
	next := func(bound uint64) uint64 {
		state = state*6364136223846793005 + 1442695040888963407
		return (state >> 33) % bound
	}
	bound := uint64(40)
	if name == "wide" {
		bound = 300
	}
	var out []byte
	for len(out) < length {
		switch n := next(bound); {
		case n == 0:
			for range 8 {
				out = append(out, byte(next(256)))
			}
		case n <= 3:
			from := int(next(uint64(len(out)) + 1))
			out = append(out, out[from:min(from+300, len(out))]...)
		case name == "wide":
			out = append(out, bytes.Repeat([]byte("x"), 60)...)
		default:
			out = append(out, words[next(10)]...)
		}
	}
	return out[:length]
}

func each(do func(content, name string, c codec) error) error {
	for _, content := range []string{"empty", "small", "text", "wide"} {
		for name, c := range codecs {
			if err := do(content, name, c); err != nil {
				return fmt.Errorf("%s.%s: %w", content, name, err)
			}
		}
	}
	return nil
}

func run(verb, dir string) error {
	switch verb {
	case "open":
		return openAll(dir)
	case "write":
		if err := sealAll(dir); err != nil {
			return err
		}
		return each(func(content, name string, c codec) error {
			var object bytes.Buffer
			w, err := c.write(&object)
			if err != nil {
				return err
			}
			if _, err := io.Copy(w, bytes.NewReader(plain(content))); err != nil {
				return err
			}
			if err := w.Close(); err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(dir, content+"."+name), object.Bytes(), 0o644)
		})
	case "read":
		count := 0
		err := each(func(content, name string, c codec) error {
			object, err := os.Open(filepath.Join(dir, content+"."+name))
			if err != nil {
				return err
			}
			defer object.Close()
			r, err := c.read(object)
			if err != nil {
				return err
			}
			got, err := io.ReadAll(r)
			if err != nil {
				return err
			}
			if !bytes.Equal(got, plain(content)) {
				return fmt.Errorf("%d bytes that differ from the content", len(got))
			}
			count++
			return nil
		})
		fmt.Printf("%d objects\n", count)
		return err
	}
	return fmt.Errorf("usage: golden-go write|read|open DIR")
}

func main() {
	if len(os.Args) != 3 {
		os.Args = []string{"", "", ""}
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
