package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// freezer stops the processes that use a volume while it is copied: a copy takes time, and a snapshot is of one moment.
// The driver's pod shares the node's process namespace for it.
type freezer struct {
	// kubelet is where the node itself has the volumes mounted: only who has one elsewhere uses it.
	kubelet string
}

// stop stops all processes that can write to volumes below dir, and gives what lets them go on.
func (f freezer) stop(dir string) (goOn func()) {
	stopped := map[int]bool{}
	// Until a look finds none that still runs: a process may have forked before it was stopped.
	for more := true; more; {
		more = false
		for _, pid := range f.users(dir) {
			if !stopped[pid] && syscall.Kill(pid, syscall.SIGSTOP) == nil {
				stopped[pid], more = true, true
			}
		}
	}
	return func() {
		for pid := range stopped {
			_ = syscall.Kill(pid, syscall.SIGCONT)
		}
	}
}

// wake lets processes go on that a killed driver left stopped.
func (f freezer) wake(volumes string) {
	for _, pid := range f.users(volumes) {
		_ = syscall.Kill(pid, syscall.SIGCONT)
	}
}

// users lists the processes that have dir, or something below it, mounted as a container has.
func (f freezer) users(dir string) []int {
	var pids []int
	found, _ := filepath.Glob("/proc/[0-9]*")
	for _, proc := range found {
		pid, err := strconv.Atoi(filepath.Base(proc))
		if err != nil {
			continue
		}
		// A process may be gone by now.
		mounts, err := os.ReadFile(filepath.Join(proc, "mountinfo"))
		if err == nil && f.mounted(string(mounts), dir) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// mounted reads /proc/PID/mountinfo: the fourth field is the mounted directory within its file system, which may itself
// be mounted anywhere; the fifth is where.
func (f freezer) mounted(mounts, dir string) bool {
	for _, line := range strings.Split(mounts, "\n") {
		w := strings.Fields(line)
		if len(w) > 4 && strings.Contains(w[3]+"/", dir+"/") && !strings.HasPrefix(w[4], f.kubelet+"/") {
			return true
		}
	}
	return false
}
