package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"time"
)

// store is the directory tree: volumes/ID and snapshots/ID, each with `data` and a `note.json` about it. A name's second
// request finds what its first made; what is half made has another name and is made again.
type store struct{ root string }

// note is what has to be known about a volume or a snapshot.
type note struct {
	// Bytes asked for; of a snapshot, those of its volume. Nothing enforces them.
	Bytes int64 `json:"bytes"`
	// Source is the volume a snapshot was taken of, or the snapshot or volume that a volume was made from.
	Source string    `json:"source,omitempty"`
	Made   time.Time `json:"made"`
}

var errUsed = errors.New("exists, made from something else or with another size")

var validID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)

func (s store) open() error {
	for _, kind := range []string{"volumes", "snapshots"} {
		if err := os.MkdirAll(filepath.Join(s.root, kind), 0o755); err != nil {
			return err
		}
	}
	return nil
}

// dir is where something lies. The ID comes over a socket and from objects that others can edit.
func (s store) dir(kind, id string) (string, error) {
	if !validID.MatchString(id) {
		return "", fmt.Errorf("%q is no name of a %s", id, kind)
	}
	return filepath.Join(s.root, kind, id), nil
}

// find reads the note of a volume or snapshot; fs.ErrNotExist where there is none.
func (s store) find(kind, id string) (note, error) {
	var n note
	dir, err := s.dir(kind, id)
	if err != nil {
		return n, fs.ErrNotExist
	}
	b, err := os.ReadFile(filepath.Join(dir, "note.json"))
	if err != nil {
		return n, err
	}
	return n, json.Unmarshal(b, &n)
}

// add makes a volume or snapshot, with the content of the directory `from` where one is given.
func (s store) add(kind, id string, n note, from string) (note, error) {
	dir, err := s.dir(kind, id)
	if err != nil {
		return n, err
	}
	if old, err := s.find(kind, id); err == nil {
		if old.Source != n.Source || old.Bytes != n.Bytes {
			return n, errUsed
		}
		return old, nil
	}
	work := filepath.Join(s.root, ".new-"+kind+"-"+id)
	if err := os.RemoveAll(work); err != nil {
		return n, err
	}
	data := filepath.Join(work, "data")
	if err := os.MkdirAll(data, 0o777); err != nil {
		return n, err
	}
	if from != "" {
		if err := copyTree(from, data); err != nil {
			return n, err
		}
	} else if err := os.Chmod(data, 0o777); err != nil { // past the umask: pods come with any user
		return n, err
	}
	n.Made = time.Now().UTC()
	b, err := json.Marshal(n)
	if err != nil {
		return n, err
	}
	if err := os.WriteFile(filepath.Join(work, "note.json"), b, 0o644); err != nil {
		return n, err
	}
	return n, os.Rename(work, dir)
}

// remove takes a volume or snapshot away; it is no error that there is none.
func (s store) remove(kind, id string) error {
	dir, err := s.dir(kind, id)
	if err != nil {
		return nil
	}
	// The note goes with the name, so that nothing half removed is found.
	work := filepath.Join(s.root, ".old-"+kind+"-"+id)
	if err := os.RemoveAll(work); err != nil {
		return err
	}
	if err := os.Rename(dir, work); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.RemoveAll(work)
}

// ids lists what there is of a kind, sorted.
func (s store) ids(kind string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(s.root, kind))
	var ids []string
	for _, e := range entries {
		ids = append(ids, e.Name())
	}
	return ids, err
}
