// The events of all processes, those that start later included.
package client

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"midstream/core/control"
)

// rescan is how often the runtime folder is looked at for new processes.
const rescan = 100 * time.Millisecond

// Follower follows all the processes there are. Its functions are called one at a time.
type Follower struct {
	// Each takes an event as it came; false: it wants no more.
	Each func(event json.RawMessage) bool
	// Failed is told of a process whose events cannot be had, once; nil: nobody is.
	Failed func(p Process, err error)
	// More are further ones than Processes has; nil: none.
	More func() []Process

	wg       sync.WaitGroup
	mu       sync.Mutex      // for what is below, and for the functions
	followed map[string]bool // by Path: two users may both say that they have a number
	named    map[string]bool // whose failure has been told
	ended    bool
}

// Follow runs until ctx ends, or Each has said that it wants no more. It may be called once. An error: the processes cannot be listed.
func (f *Follower) Follow(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer f.wg.Wait()
	defer stop()
	f.followed, f.named = map[string]bool{}, map[string]bool{}
	tick := time.NewTicker(rescan)
	defer tick.Stop()
	for {
		all, err := Processes()
		if err != nil {
			return err
		}
		if f.More != nil {
			all = append(all, f.More()...)
		}
		for _, p := range all {
			f.mu.Lock()
			begin := !f.followed[p.Path]
			f.followed[p.Path] = true
			f.mu.Unlock()
			if begin {
				f.wg.Go(func() { f.one(ctx, p, stop) })
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// one passes on the events of a process until it ends. It is tried again with the next scan, for the same number may come back with
// another program.
func (f *Follower) one(ctx context.Context, p Process, stop func()) {
	err := f.events(ctx, p, stop)
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.followed, p.Path)
	if err != nil && ctx.Err() == nil && !f.named[p.Path] {
		f.named[p.Path] = true
		if f.Failed != nil {
			f.Failed(p, err)
		}
	}
}

func (f *Follower) events(ctx context.Context, p Process, stop func()) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// Only the start is limited in time: between events a process may be silent for long.
	late := time.AfterFunc(AnswerLimit, cancel)
	c, err := p.Connect(ctx)
	if err != nil || c == nil {
		return err
	}
	defer c.Close()
	var accepted struct{ Watching bool }
	err = c.Call(control.MethodWatch, nil, &accepted)
	if !late.Stop() {
		return fmt.Errorf("it does not answer within %v; it may be stopped", AnswerLimit)
	}
	if err != nil {
		return err
	}
	for {
		r, err := c.Read()
		if err != nil {
			return nil // it has ended, which is no failure
		}
		if r.Method == control.MethodEvent && p.hasEvent(r.Params) && !f.pass(ctx, r.Params) {
			stop()
			return nil
		}
	}
}

// pass hands one event on; false: no more are wanted.
func (f *Follower) pass(ctx context.Context, event json.RawMessage) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended || ctx.Err() != nil {
		return false
	}
	f.ended = !f.Each(event)
	return !f.ended
}
