// Finds the processes under Midstream, and asks them all at once.
package client

import (
	"bufio"
	"context"
	"encoding/json"
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

// othersMove is how long another user's process may go on moving downloads beyond its limit: it could say so for ever.
const othersMove = time.Minute

// UnitsFolder is below /run, with a folder for each service that has its own /tmp: midstreamctl enable.
const UnitsFolder = "midstream-units"

// AnswerLimit is how long a process has to answer what needs no work.
const AnswerLimit = 2 * time.Second

// Process is one that has a control socket.
type Process struct {
	PID  int
	Path string
	UID  int // whose folder the socket is in
}

// Supervises reports whether it is a supervisor, which has sessions of other processes.
func (p Process) Supervises() bool {
	name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", p.PID))
	return string(name) == "midstream-super\n" // "midstream-supervisor", of which the kernel keeps 15 octets: proc_pid_comm(5)
}

// Processes lists those with a socket in the runtime folder, by their number. No folder is no
// processes. Root sees those of all users, or where MIDSTREAM_RUNTIME_DIR names a folder those in it.
func Processes() ([]Process, error) {
	dir := control.RuntimeDir()
	given := os.Getenv(control.EnvRuntimeDir) != ""
	var all []Process
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
	sort.Slice(all, func(i, j int) bool { return all[i].PID < all[j].PID })
	return all, nil
}

// OwnOnly leaves those of other users out.
func OwnOnly(all []Process) []Process {
	return slices.DeleteFunc(all, func(p Process) bool { return p.UID != os.Geteuid() })
}

func list(dir string, uid int) ([]Process, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("list the control sockets: %w", err)
	}
	var all []Process
	for _, entry := range entries {
		name, isSocket := strings.CutSuffix(entry.Name(), ".sock")
		pid, err := strconv.Atoi(name)
		if isSocket && err == nil && pid > 0 && entry.Type() == fs.ModeSocket && (uid == os.Geteuid() || mayBe(pid, uid)) {
			all = append(all, Process{pid, control.SocketPath(dir, pid), uid})
		}
	}
	return all, nil
}

// others lists the processes of other users, where those have no folder of their own choice.
func others(own string) (all []Process) {
	for dir, uid := range control.UserDirs() {
		if dir == own || control.CheckRuntimeDirOf(dir, uid) != nil {
			continue
		}
		theirs, _ := list(dir, uid)
		all = append(all, theirs[:min(len(theirs), eachOther)]...)
	}
	// Services that have a /tmp of their own: midstreamctl enable.
	dirs, _ := filepath.Glob(filepath.Join("/run", UnitsFolder, "*", "midstream"))
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

// Connect dials p. It returns nil, nil where nobody listens any more; what a dead process left is
// removed.
func (p Process) Connect(ctx context.Context) (*Client, error) {
	own := p.UID == os.Geteuid()
	longest := maxAnswer
	if !own {
		longest = maxOthers
	}
	c, err := Dial(ctx, p.Path, longest)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		if p.PID > 0 && own && errors.Is(syscall.Kill(p.PID, 0), syscall.ESRCH) {
			os.Remove(p.Path) // if it fails, the next one who looks will try again
		}
		return nil, nil
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	}
	if err == nil && !own && c.UID() != p.UID {
		// Another user's folder may have become a link to anywhere meanwhile.
		c.Close()
		return nil, fmt.Errorf("%s is not served by user %d", p.Path, p.UID)
	}
	return c, err
}

// Answer is what one process said.
type Answer[T any] struct {
	Process
	Result T
	Err    error
}

// AskAll sends one request to all the processes and returns the answers of those that are there, in
// their order. Each has limit to answer.
func AskAll[T any](ctx context.Context, all []Process, limit time.Duration, method string, params any) []Answer[T] {
	answers := make([]*Answer[T], len(all))
	var mu sync.Mutex
	told := map[int]int{} // octets by user
	slots := make(chan struct{}, atOnce)
	var wg sync.WaitGroup
	for i, p := range all {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			a, octets := Ask[T](ctx, p, limit, method, params)
			mu.Lock()
			defer mu.Unlock()
			if told[p.UID] += octets; a != nil && p.UID != os.Geteuid() && told[p.UID] > allOthers {
				a = &Answer[T]{Process: p, Err: fmt.Errorf("user %d's processes say more than %d MB together", p.UID, allOthers>>20)}
			}
			answers[i] = a
		})
	}
	wg.Wait()
	var there []Answer[T]
	for _, a := range answers {
		if a != nil {
			there = append(there, *a)
		}
	}
	return there
}

// Ask sends one request to one process; octets is how long its answer is. nil where it is not there. What moves downloads may
// take longer than limit, as long as one is on its way.
func Ask[T any](ctx context.Context, p Process, limit time.Duration, method string, params any) (a *Answer[T], octets int) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	moves := method == control.MethodMigrate || method == control.MethodUse
	defer time.AfterFunc(limit, func() {
		end := time.Now().Add(othersMove)
		for moves && (p.UID == os.Geteuid() || time.Now().Before(end)) && p.isMoving(ctx) {
			time.Sleep(AnswerLimit)
		}
		cancel(context.DeadlineExceeded)
	}).Stop()
	a = &Answer[T]{Process: p}
	c, err := p.Connect(ctx)
	if err == nil && c == nil {
		return nil, 0
	}
	if err == nil {
		defer c.Close()
		var answer json.RawMessage
		err = c.Call(method, params, &answer)
		octets = len(c.in.Bytes())
		if err == nil {
			err = json.Unmarshal(p.believed(method, answer), &a.Result)
		}
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
	a.Err = err
	return a, octets
}

// isMoving reports whether a download of the process is on its way to another network.
func (p Process) isMoving(ctx context.Context) bool {
	a, _ := Ask[[]control.Session](ctx, p, AnswerLimit, control.MethodSessions, nil)
	return a != nil && slices.ContainsFunc(a.Result, func(s control.Session) bool { return s.State == control.StateMigrating })
}
