package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// blob is one content-addressed file of the archive.
type blob struct {
	digest string // hex sha256
	size   int64
	open   func() (io.ReadCloser, error)
}

type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int64             `json:"size"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

type imageConfig struct {
	Entrypoint []string `json:",omitempty"`
	Cmd        []string `json:",omitempty"`
	Env        []string `json:",omitempty"`
	User       string   `json:",omitempty"`
	WorkingDir string   `json:",omitempty"`
	StopSignal string   `json:",omitempty"`
}

// newImageCommand makes an image archive of one layer without a container engine. The archive is both an OCI layout
// (so its digest is known before it is imported) and a docker-archive; equal input gives equal bytes.
func newImageCommand() *cobra.Command {
	var name, root, layer, out string
	var keepOwner bool
	var cfg imageConfig
	c := &cobra.Command{
		Use:   "image --name REF --out FILE (--root DIR | --layer TAR)",
		Short: "Makes an image archive from a directory or a root file system tar; prints {image,digest,bytes}",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if (root == "") == (layer == "") {
				return fmt.Errorf("exactly one of --root and --layer is needed")
			}
			if root != "" {
				tmp, err := os.CreateTemp(filepath.Dir(out), ".layer-*")
				if err != nil {
					return err
				}
				defer os.Remove(tmp.Name())
				if err := tarDir(tmp, root, keepOwner); err != nil {
					return err
				}
				if err := tmp.Close(); err != nil {
					return err
				}
				layer = tmp.Name()
			}
			return writeImage(name, layer, out, cfg)
		},
	}
	f := c.Flags()
	f.StringVar(&name, "name", "", "image reference, with its tag")
	f.StringVar(&out, "out", "", "archive to write; FILE.json beside it gets what is printed")
	f.StringVar(&root, "root", "", "directory that becomes the root file system")
	f.StringVar(&layer, "layer", "", "uncompressed tar that becomes the root file system as it is")
	f.BoolVar(&keepOwner, "keep-owner", false, "keep owners of --root instead of 0:0")
	f.StringArrayVar(&cfg.Entrypoint, "entrypoint", nil, "one word of the entry point (repeatable)")
	f.StringArrayVar(&cfg.Cmd, "cmd", nil, "one word of the default arguments (repeatable)")
	f.StringArrayVar(&cfg.Env, "env", nil, "NAME=VALUE (repeatable)")
	f.StringVar(&cfg.User, "user", "", "UID, UID:GID or a name of the image's /etc/passwd")
	f.StringVar(&cfg.WorkingDir, "workdir", "", "working directory")
	f.StringVar(&cfg.StopSignal, "stop-signal", "", "signal that asks the main process to stop")
	_ = c.MarkFlagRequired("name")
	_ = c.MarkFlagRequired("out")
	return c
}

// tarDir writes the tree in lexical order with a fixed time, so equal trees give equal bytes.
func tarDir(w io.Writer, root string, keepOwner bool) error {
	t := tar.NewWriter(w)
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil || rel == "." {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		link := ""
		if info.Mode()&fs.ModeSymlink != 0 {
			if link, err = os.Readlink(p); err != nil {
				return err
			}
		}
		h, err := tar.FileInfoHeader(info, link)
		if err != nil {
			return err
		}
		h.Name = filepath.ToSlash(rel)
		if d.IsDir() {
			h.Name += "/"
		}
		uid, gid := 0, 0
		if s, ok := info.Sys().(*syscall.Stat_t); ok && keepOwner {
			uid, gid = int(s.Uid), int(s.Gid)
		}
		h.Uid, h.Gid, h.Uname, h.Gname = uid, gid, "", ""
		h.ModTime, h.AccessTime, h.ChangeTime = time.Unix(0, 0), time.Time{}, time.Time{}
		h.Format = tar.FormatPAX
		if err := t.WriteHeader(h); err != nil || !info.Mode().IsRegular() {
			return err
		}
		f, err := os.Open(p)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = io.Copy(t, f)
		return err
	})
	if err != nil {
		return err
	}
	return t.Close()
}

func writeImage(name, layer, out string, cfg imageConfig) error {
	l, err := fileBlob(layer)
	if err != nil {
		return err
	}
	conf, err := jsonBlob(map[string]any{
		"architecture": runtime.GOARCH, "os": "linux", "config": cfg,
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + l.digest}},
	})
	if err != nil {
		return err
	}
	manifest, err := jsonBlob(map[string]any{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
		"config": descriptor{MediaType: "application/vnd.oci.image.config.v1+json", Digest: "sha256:" + conf.digest, Size: conf.size},
		"layers": []descriptor{{MediaType: "application/vnd.oci.image.layer.v1.tar", Digest: "sha256:" + l.digest, Size: l.size}},
	})
	if err != nil {
		return err
	}
	layout, err := jsonBlob(map[string]string{"imageLayoutVersion": "1.0.0"})
	if err != nil {
		return err
	}
	index, err := jsonBlob(map[string]any{"schemaVersion": 2, "manifests": []descriptor{{
		MediaType: "application/vnd.oci.image.manifest.v1+json", Digest: "sha256:" + manifest.digest, Size: manifest.size,
		Annotations: map[string]string{"io.containerd.image.name": name},
	}}})
	if err != nil {
		return err
	}
	blobPath := func(b blob) string { return path.Join("blobs/sha256", b.digest) }
	docker, err := jsonBlob([]map[string]any{{"Config": blobPath(conf), "RepoTags": []string{name}, "Layers": []string{blobPath(l)}}})
	if err != nil {
		return err
	}

	tmp := out + ".tmp"
	f, err := os.Create(tmp)
	if err != nil {
		return err
	}
	defer os.Remove(tmp)
	t := tar.NewWriter(f)
	for _, e := range []struct {
		name string
		blob blob
	}{{blobPath(l), l}, {blobPath(conf), conf}, {blobPath(manifest), manifest}, {"oci-layout", layout}, {"index.json", index}, {"manifest.json", docker}} {
		h := &tar.Header{Name: e.name, Mode: 0o644, Size: e.blob.size, Typeflag: tar.TypeReg, ModTime: time.Unix(0, 0), Format: tar.FormatPAX}
		if err := t.WriteHeader(h); err != nil {
			return err
		}
		r, err := e.blob.open()
		if err != nil {
			return err
		}
		_, err = io.Copy(t, r)
		r.Close()
		if err != nil {
			return err
		}
	}
	if err := t.Close(); err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	note, err := json.Marshal(struct {
		Image  string `json:"image"`
		Digest string `json:"digest"`
		Bytes  int64  `json:"bytes"`
	}{name, "sha256:" + manifest.digest, info.Size()})
	if err != nil {
		return err
	}
	if err := os.WriteFile(out+".json", append(note, '\n'), 0o644); err != nil {
		return err
	}
	fmt.Println(string(note))
	return os.Rename(tmp, out)
}

func fileBlob(file string) (blob, error) {
	f, err := os.Open(file)
	if err != nil {
		return blob{}, err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	return blob{hex.EncodeToString(h.Sum(nil)), n, func() (io.ReadCloser, error) { return os.Open(file) }}, err
}

func jsonBlob(v any) (blob, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return blob{}, err
	}
	sum := sha256.Sum256(b)
	return blob{hex.EncodeToString(sum[:]), int64(len(b)), func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }}, nil
}
