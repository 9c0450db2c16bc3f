package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// copyTree copies what is in the directory `from` into the directory `to`, with owners, modes, times and links. Blocks are
// shared where the file system can: that is how Go copies files on Linux.
func copyTree(from, to string) error {
	type made struct {
		path  string
		mtime time.Time
	}
	var dirs []made
	first := map[uint64]string{} // copies of files with several names, by inode
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		stat, ok := info.Sys().(*syscall.Stat_t)
		if !ok {
			return fmt.Errorf("no owner of %s", path)
		}
		target := filepath.Join(to, rel)
		mode := info.Mode()
		switch {
		case mode.IsDir():
			if err := os.Mkdir(target, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
				return err
			}
			// Their times are set last, past what is written into them.
			dirs = append(dirs, made{target, info.ModTime()})
		case mode.IsRegular() && first[stat.Ino] != "":
			return os.Link(first[stat.Ino], target)
		case mode.IsRegular():
			if err := copyFile(path, target); err != nil {
				return err
			}
			if stat.Nlink > 1 {
				first[stat.Ino] = target
			}
		case mode&fs.ModeSymlink != 0:
			link, err := os.Readlink(path)
			if err != nil {
				return err
			}
			if err := os.Symlink(link, target); err != nil {
				return err
			}
			return os.Lchown(target, int(stat.Uid), int(stat.Gid))
		case mode&(fs.ModeSocket|fs.ModeNamedPipe|fs.ModeDevice) != 0:
			if err := syscall.Mknod(target, stat.Mode, int(stat.Rdev)); err != nil {
				return &os.PathError{Op: "mknod", Path: target, Err: err}
			}
		default:
			return fmt.Errorf("%s is of a kind that can not be copied: %s", path, mode)
		}
		if err := os.Lchown(target, int(stat.Uid), int(stat.Gid)); err != nil {
			return err
		}
		// After the owner: a change of owner takes away set-user bits.
		if err := syscall.Chmod(target, stat.Mode&0o7777); err != nil {
			return &os.PathError{Op: "chmod", Path: target, Err: err}
		}
		if mode.IsDir() {
			return nil
		}
		return os.Chtimes(target, time.Time{}, info.ModTime())
	})
	for i := len(dirs) - 1; err == nil && i >= 0; i-- {
		err = os.Chtimes(dirs[i].path, time.Time{}, dirs[i].mtime)
	}
	return err
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}
