// Finds the processes under Midstream, and asks them all at once.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"midstream/core/control"
)

// atOnce bounds how many processes are asked at a time.
const atOnce = 64

// process is one that has a control socket.
type process struct {
	pid  int
	path string
}

// processes lists those with a socket in the runtime folder, by their number. No folder is no
// processes. Root may look into another user's folder, where MIDSTREAM_RUNTIME_DIR names it.
func processes() ([]process, error) {
	dir := control.RuntimeDir()
	err := control.CheckRuntimeDir(dir, os.Getenv(control.EnvRuntimeDir) != "")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("list the control sockets: %w", err)
	}
	var all []process
	for _, entry := range entries {
		name, isSocket := strings.CutSuffix(entry.Name(), ".sock")
		pid, err := strconv.Atoi(name)
		if isSocket && err == nil && pid > 0 && entry.Type() == fs.ModeSocket {
			all = append(all, process{pid, control.SocketPath(dir, pid)})
		}
	}
	sort.Slice(all, func(i, j int) bool { return all[i].pid < all[j].pid })
	return all, nil
}

// connect dials p. It returns nil, nil where nobody listens any more; what a dead process left is
// removed.
func (p process) connect(ctx context.Context) (*client, error) {
	c, err := dial(ctx, p.path)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		if p.pid > 0 && errors.Is(syscall.Kill(p.pid, 0), syscall.ESRCH) {
			os.Remove(p.path) // if it fails, the next one who looks will try again
		}
		return nil, nil
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
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
	slots := make(chan struct{}, atOnce)
	var wg sync.WaitGroup
	for i, p := range all {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			answers[i] = ask[T](ctx, p, limit, method, params)
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

func ask[T any](ctx context.Context, p process, limit time.Duration, method string, params any) *answer[T] {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	a := &answer[T]{process: p}
	c, err := p.connect(ctx)
	if err == nil && c == nil {
		return nil
	}
	if err == nil {
		defer c.close()
		err = c.call(method, params, &a.result)
	}
	switch {
	case err == nil:
	case errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded):
		err = fmt.Errorf("it does not answer within %v; it may be stopped", limit)
	case errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE):
		err = errors.New("it ended before it answered")
	}
	a.err = err
	return a
}
