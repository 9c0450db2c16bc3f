package main

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

const phrase = "correct horse battery staple"

// sealed are the contents that are encrypted, and how.
var sealed = []struct {
	kind     string
	contents []string
	seal     func([]byte) ([]byte, error)
	open     func([]byte) ([]byte, error)
}{
	{"AES-128-CFB", []string{"empty", "small", "page"}, cfb(16), uncfb(16)},
	{"AES-192-CFB", []string{"empty", "small", "page"}, cfb(24), uncfb(24)},
	{"AES-256-CFB", []string{"empty", "small", "page"}, cfb(32), uncfb(32)},
	{"aead-v1", []string{"empty", "small", "frames"}, envelope, unenvelope},
}

func cfbKey(size int) (cipher.Block, error) {
	key, err := hkdf.Key(sha256.New, []byte(phrase), []byte("encryption"), "", 32)
	if err != nil {
		return nil, err
	}
	return aes.NewCipher(key[:size])
}

func cfb(size int) func([]byte) ([]byte, error) {
	return func(plain []byte) ([]byte, error) {
		block, err := cfbKey(size)
		if err != nil {
			return nil, err
		}
		object := make([]byte, 16+len(plain))
		if _, err := rand.Read(object[:16]); err != nil {
			return nil, err
		}
		cipher.NewCFBEncrypter(block, object[:16]).XORKeyStream(object[16:], plain)
		return object, nil
	}
}

func uncfb(size int) func([]byte) ([]byte, error) {
	return func(object []byte) ([]byte, error) {
		block, err := cfbKey(size)
		if err != nil {
			return nil, err
		}
		plain := make([]byte, len(object)-16)
		cipher.NewCFBDecrypter(block, object[:16]).XORKeyStream(plain, object[16:])
		return plain, nil
	}
}

// The envelope, written from docs/adr/0017 and not from the mover's code.
const frame = 65536

var prefix = []byte("HFENVLP\x01\x01\x01\x10\x00")

func envelopeKeys(salt []byte) (cipher.AEAD, []byte, error) {
	key, err := hkdf.Key(sha256.New, []byte(phrase), salt, "holdfast aead-v1 key "+string(prefix), 32)
	if err != nil {
		return nil, nil, err
	}
	fingerprint, err := hkdf.Key(sha256.New, []byte(phrase), salt, "holdfast aead-v1 fingerprint "+string(prefix), 32)
	if err != nil {
		return nil, nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, nil, err
	}
	aead, err := cipher.NewGCM(block)
	return aead, fingerprint, err
}

func nonce(number int, last bool) []byte {
	bytes := make([]byte, 12)
	binary.BigEndian.PutUint64(bytes[3:], uint64(number))
	if last {
		bytes[11] = 1
	}
	return bytes
}

func envelope(plain []byte) ([]byte, error) {
	salt := make([]byte, 32)
	if _, err := rand.Read(salt); err != nil {
		return nil, err
	}
	aead, fingerprint, err := envelopeKeys(salt)
	if err != nil {
		return nil, err
	}
	object := slices.Concat(prefix, salt, fingerprint)
	for number := 0; ; number++ {
		size := min(frame, len(plain))
		object = aead.Seal(object, nonce(number, size == len(plain)), plain[:size], nil)
		if plain = plain[size:]; len(plain) == 0 {
			return object, nil
		}
	}
}

func unenvelope(object []byte) ([]byte, error) {
	if len(object) < 92 || !bytes.Equal(object[:12], prefix) {
		return nil, errors.New("no envelope")
	}
	aead, fingerprint, err := envelopeKeys(object[12:44])
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(fingerprint, object[44:76]) {
		return nil, errors.New("another fingerprint")
	}
	var plain []byte
	rest := object[76:]
	for number := 0; len(rest) > 0; number++ {
		size := min(frame+16, len(rest))
		plain, err = aead.Open(plain, nonce(number, size == len(rest)), rest[:size], nil)
		if err != nil {
			return nil, err
		}
		rest = rest[size:]
	}
	return plain, nil
}

func sealAll(dir string) error {
	for _, kind := range sealed {
		for _, content := range kind.contents {
			object, err := kind.seal(plain(content))
			if err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(dir, content+"."+kind.kind), object, 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}

func openAll(dir string) error {
	count := 0
	for _, kind := range sealed {
		for _, content := range kind.contents {
			object, err := os.ReadFile(filepath.Join(dir, content+"."+kind.kind))
			if err != nil {
				return err
			}
			got, err := kind.open(object)
			if err != nil {
				return fmt.Errorf("%s.%s: %w", content, kind.kind, err)
			}
			if !bytes.Equal(got, plain(content)) {
				return fmt.Errorf("%s.%s: %d bytes that differ from the content", content, kind.kind, len(got))
			}
			count++
		}
	}
	fmt.Printf("%d objects\n", count)
	return nil
}
