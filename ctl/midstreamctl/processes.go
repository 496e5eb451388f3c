// Finds the processes under Midstream, and asks them all at once.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"midstream/core/control"
)

// atOnce bounds how many processes are asked at a time, and eachOther how many of one other user's are at all.
const (
	atOnce    = 64
	eachOther = 1024
)

// allOthers is how many octets the answers of one other user's processes may have together.
const allOthers = 32 << 20

// process is one that has a control socket.
type process struct {
	pid  int
	path string
	uid  int // whose folder the socket is in
}

// supervises reports whether it is a supervisor, which has sessions of other processes.
func (p process) supervises() bool {
	name, _ := os.ReadFile(procFile(p.pid, "comm"))
	return string(name) == "midstream-super\n" // "midstream-supervisor", of which the kernel keeps 15 octets: proc_pid_comm(5)
}

// processes lists those with a socket in the runtime folder, by their number. No folder is no
// processes. Root sees those of all users, or where MIDSTREAM_RUNTIME_DIR names a folder those in it.
func processes() ([]process, error) {
	dir := control.RuntimeDir()
	given := os.Getenv(control.EnvRuntimeDir) != ""
	var all []process
	err := control.CheckRuntimeDir(dir, given)
	if err == nil {
		all, err = list(dir, os.Geteuid())
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err != nil {
		return nil, err
	}
	if os.Geteuid() == 0 && !given {
		all = append(all, others(dir)...)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].pid < all[j].pid })
	return all, nil
}

// ownOnly leaves those of other users out.
func ownOnly(all []process) []process {
	return slices.DeleteFunc(all, func(p process) bool { return p.uid != os.Geteuid() })
}

func list(dir string, uid int) ([]process, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("list the control sockets: %w", err)
	}
	var all []process
	for _, entry := range entries {
		name, isSocket := strings.CutSuffix(entry.Name(), ".sock")
		pid, err := strconv.Atoi(name)
		if isSocket && err == nil && pid > 0 && entry.Type() == fs.ModeSocket {
			all = append(all, process{pid, control.SocketPath(dir, pid), uid})
		}
	}
	return all, nil
}

// others lists the processes of other users, where those have no folder of their own choice.
func others(own string) (all []process) {
	for _, pattern := range []string{"/run/user/*/midstream", "/tmp/midstream-*"} {
		dirs, _ := filepath.Glob(pattern)
		for _, dir := range dirs {
			number := strings.TrimPrefix(strings.TrimSuffix(strings.TrimPrefix(dir, "/run/user/"), "/midstream"), "/tmp/midstream-")
			uid, err := strconv.Atoi(number)
			if err != nil || dir == own || control.CheckRuntimeDirOf(dir, uid) != nil {
				continue
			}
			theirs, _ := list(dir, uid)
			all = append(all, theirs[:min(len(theirs), eachOther)]...)
		}
	}
	// Services that have a /tmp of their own: midstreamctl enable.
	dirs, _ := filepath.Glob(filepath.Join("/run", unitsFolder, "*", "midstream"))
	for _, dir := range dirs {
		info, err := os.Lstat(dir)
		if err != nil {
			continue
		}
		owner, ok := info.Sys().(*syscall.Stat_t)
		if !ok || control.CheckRuntimeDirOf(dir, int(owner.Uid)) != nil {
			continue
		}
		theirs, _ := list(dir, int(owner.Uid))
		all = append(all, theirs[:min(len(theirs), eachOther)]...)
	}
	return all
}

// connect dials p. It returns nil, nil where nobody listens any more; what a dead process left is
// removed.
func (p process) connect(ctx context.Context) (*client, error) {
	own := p.uid == os.Geteuid()
	longest := maxAnswer
	if !own {
		longest = maxOthers
	}
	c, err := dial(ctx, p.path, longest)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		if p.pid > 0 && own && errors.Is(syscall.Kill(p.pid, 0), syscall.ESRCH) {
			os.Remove(p.path) // if it fails, the next one who looks will try again
		}
		return nil, nil
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	}
	if err == nil && !own && c.uid() != p.uid {
		// Another user's folder may have become a link to anywhere meanwhile.
		c.close()
		return nil, fmt.Errorf("%s is not served by user %d", p.path, p.uid)
	}
	return c, err
}

// answer is what one process said.
type answer[T any] struct {
	process
	result T
	err    error
}

// askAll sends one request to all the processes and returns the answers of those that are there, in
// their order. Each has limit to answer.
func askAll[T any](ctx context.Context, all []process, limit time.Duration, method string, params any) []answer[T] {
	answers := make([]*answer[T], len(all))
	var mu sync.Mutex
	told := map[int]int{} // octets by user
	slots := make(chan struct{}, atOnce)
	var wg sync.WaitGroup
	for i, p := range all {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			a, octets := ask[T](ctx, p, limit, method, params)
			mu.Lock()
			defer mu.Unlock()
			if told[p.uid] += octets; a != nil && p.uid != os.Geteuid() && told[p.uid] > allOthers {
				a = &answer[T]{process: p, err: fmt.Errorf("user %d's processes say more than %d MB together", p.uid, allOthers>>20)}
			}
			answers[i] = a
		})
	}
	wg.Wait()
	var there []answer[T]
	for _, a := range answers {
		if a != nil {
			there = append(there, *a)
		}
	}
	return there
}

// ask sends one request to one process; octets is how long its answer is. nil where it is not there. What moves downloads may
// take longer than limit, as long as one is on its way.
func ask[T any](ctx context.Context, p process, limit time.Duration, method string, params any) (a *answer[T], octets int) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	moves := method == control.MethodMigrate || method == control.MethodUse
	defer time.AfterFunc(limit, func() {
		for moves && p.isMoving(ctx) {
			time.Sleep(answerLimit)
		}
		cancel(context.DeadlineExceeded)
	}).Stop()
	a = &answer[T]{process: p}
	c, err := p.connect(ctx)
	if err == nil && c == nil {
		return nil, 0
	}
	if err == nil {
		defer c.close()
		err = c.call(method, params, &a.result)
		octets = len(c.in.Bytes())
	}
	switch {
	case err == nil:
	case context.Cause(ctx) == context.DeadlineExceeded:
		err = fmt.Errorf("it does not answer within %v; it may be stopped", limit)
	case errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE):
		err = errors.New("it ended before it answered")
	case errors.Is(err, bufio.ErrTooLong):
		err = errors.New("its answer is too long")
	}
	a.err = err
	return a, octets
}

// isMoving reports whether a download of the process is on its way to another network.
func (p process) isMoving(ctx context.Context) bool {
	a, _ := ask[[]control.Session](ctx, p, answerLimit, control.MethodSessions, nil)
	return a != nil && slices.ContainsFunc(a.result, func(s control.Session) bool { return s.State == control.StateMigrating })
}
