// Package holders finds sockets that other processes hold as well: changing one side of them would part what belongs together.
package holders

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Holders finds the other processes that hold a socket, for many streams at the cost of one search.
type Holders struct {
	mu   sync.Mutex
	at   time.Time
	held map[uint64]int // inode → process
}

// Age is how old a search may be: that of one trigger serves all its streams.
const Age = 20 * time.Millisecond

// HasChildren reports whether the process has living children; fork() is noticed by the shim, this also sees vfork,
// posix_spawn and clone.
func HasChildren() bool {
	files, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		return false
	}
	for _, file := range files {
		if b, err := os.ReadFile(file); err == nil && len(strings.TrimSpace(string(b))) > 0 {
			return true
		}
	}
	return false
}

// Of returns the process, other than pid, that holds the socket with this inode.
func (h *Holders) Of(pid int, inode uint64) (other int, held bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if time.Since(h.at) > Age {
		h.held = search(pid)
		h.at = time.Now()
	}
	other, held = h.held[inode]
	return other, held
}

// childhood is how long a child may hold the socket that it was forked with.
const childhood = 250 * time.Millisecond

// Await is Of for a process that has forked, or has children: one that has just been forked is about to end or to execute another program,
// and closes the socket then.
func (h *Holders) Await(ctx context.Context, pid int, inode uint64, forked bool) (other int, held bool) {
	for end := time.Now().Add(childhood); forked || HasChildren(); {
		if other, held = h.Of(pid, inode); !held || time.Now().After(end) || ctx.Err() != nil {
			return other, held
		}
		time.Sleep(Age + time.Millisecond) // nothing announces it
	}
	return 0, false
}

func search(pid int) map[uint64]int {
	found := map[uint64]int{}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return found
	}
	for _, entry := range entries {
		other, err := strconv.Atoi(entry.Name())
		if err != nil || other == pid {
			continue
		}
		folder := "/proc/" + entry.Name() + "/fd"
		links, err := os.ReadDir(folder)
		if err != nil {
			continue
		}
		for _, link := range links {
			target, err := os.Readlink(folder + "/" + link.Name())
			if inode, is := socketInode(target); err == nil && is {
				found[inode] = other
			}
		}
	}
	return found
}

// socketInode reads a link of /proc/PID/fd (proc(5)).
func socketInode(target string) (inode uint64, is bool) {
	number, is := strings.CutPrefix(target, "socket:[")
	number, closed := strings.CutSuffix(number, "]")
	inode, err := strconv.ParseUint(number, 10, 64)
	return inode, is && closed && err == nil
}
