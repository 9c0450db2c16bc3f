package main

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

func TestCopyTreeKeepsWhatThereIs(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	must(t, os.MkdirAll(filepath.Join(from, "a/b"), 0o750))
	must(t, os.WriteFile(filepath.Join(from, "a/b/file"), []byte("text"), 0o640))
	must(t, os.Link(filepath.Join(from, "a/b/file"), filepath.Join(from, "a/other")))
	must(t, os.Symlink("nowhere", filepath.Join(from, "a/link")))
	must(t, syscall.Mkfifo(filepath.Join(from, "a/pipe"), 0o600))
	old := time.Unix(1e9, 0)
	must(t, os.Chtimes(filepath.Join(from, "a/b/file"), old, old))
	must(t, os.Chtimes(filepath.Join(from, "a"), old, old))
	must(t, copyTree(from, to))

	text, err := os.ReadFile(filepath.Join(to, "a/other"))
	must(t, err)
	if string(text) != "text" {
		t.Fatalf("%q", text)
	}
	link, err := os.Readlink(filepath.Join(to, "a/link"))
	must(t, err)
	if link != "nowhere" {
		t.Fatal(link)
	}
	for _, name := range []string{"a", "a/b", "a/b/file", "a/pipe"} {
		one, err := os.Lstat(filepath.Join(from, name))
		must(t, err)
		other, err := os.Lstat(filepath.Join(to, name))
		must(t, err)
		if one.Mode() != other.Mode() || !one.ModTime().Equal(other.ModTime()) {
			t.Errorf("%s: %v %v, copied as %v %v", name, one.Mode(), one.ModTime(), other.Mode(), other.ModTime())
		}
	}
	if !same(filepath.Join(to, "a/b/file"), filepath.Join(to, "a/other")) {
		t.Error("one file with two names became two files")
	}
}

func TestOnlyContainersAreStopped(t *testing.T) {
	f := freezer{kubelet: "/state/kubelet"}
	line := func(root, point string) string {
		return "36 35 8:1 / / rw - ext4 /dev/a rw\n40 36 8:1 " + root + " " + point + " rw shared:1 - ext4 /dev/a rw\n"
	}
	dir := volumePath("/state/csi", "pvc-1")
	for _, c := range []struct {
		mounts string
		want   bool
	}{
		{line("/state/csi/volumes/pvc-1/data", "/data"), true},
		{line("/csi/volumes/pvc-1/data", "/data"), true},        // the state is a file system of its own
		{line("/state/csi/volumes/pvc-1/data/sub", "/x"), true}, // a subPath
		{line("/state/csi/volumes/pvc-10/data", "/data"), false},
		{line("/state/csi/volumes/pvc-1/data", "/state/kubelet/pods/u/volumes/v/mount"), false}, // the node's own
		{line("/state/csi", "/state/csi"), false},                                               // the driver's
		{"", false},
	} {
		if f.mounted(c.mounts, dir) != c.want {
			t.Errorf("%q", c.mounts)
		}
	}
}

func TestVolumesAreMadeOnceAndWhole(t *testing.T) {
	s := store{root: t.TempDir()}
	must(t, s.open())
	// What a killed driver left.
	must(t, os.MkdirAll(filepath.Join(s.root, ".new-volumes-a/data/old"), 0o755))
	one, err := s.add("volumes", "a", note{Bytes: 7}, "")
	must(t, err)
	two, err := s.add("volumes", "a", note{Bytes: 7}, "")
	must(t, err)
	if !one.Made.Equal(two.Made) {
		t.Error("made twice")
	}
	if _, err := os.Stat(filepath.Join(s.root, "volumes/a/data/old")); err == nil {
		t.Error("half a volume was taken for a whole one")
	}
	if _, err := s.add("volumes", "a", note{Bytes: 8}, ""); err != errUsed {
		t.Error(err)
	}
	if _, err := s.add("volumes", "../a", note{}, ""); err == nil {
		t.Error("a name that leads out")
	}
	must(t, os.WriteFile(filepath.Join(s.root, "volumes/a/data/file"), []byte("1"), 0o644))
	_, err = s.add("snapshots", "s", note{Bytes: 7, Source: "a"}, filepath.Join(s.root, "volumes/a/data"))
	must(t, err)
	must(t, s.remove("volumes", "a"))
	must(t, s.remove("volumes", "a"))
	if _, err := os.Stat(filepath.Join(s.root, "snapshots/s/data/file")); err != nil {
		t.Error(err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
