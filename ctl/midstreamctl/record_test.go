package main

import (
	"encoding/json"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"midstream/core/control"
)

// listed is a process whose sessions change.
type listed struct {
	fake
	now atomic.Pointer[[]control.Session]
}

func (l *listed) Sessions() []control.Session { return *l.now.Load() }

// Days of recording must not keep every download that there was.
func TestARecorderForgetsWhatHasEnded(t *testing.T) {
	dir := isolate(t)
	f := &listed{}
	f.now.Store(&[]control.Session{{ID: "1-1", PID: 1, Interface: "wlan0", Received: 5}, {ID: "1-2", PID: 1, Interface: "wlan0", Received: 7}})
	serve(t, dir, 1, f)
	r := &recorder{environment: &environment{ctx: t.Context()}, out: json.NewEncoder(io.Discard), begun: time.Now(), parts: map[string]map[string]int64{}}
	for _, left := range []int{2, 1, 0} {
		if _, err := r.sample(); err != nil || len(r.parts) != left || len(r.before) != left {
			t.Errorf("%d: %v, %v, %v", left, r.parts, r.before, err)
		}
		next := (*f.now.Load())[min(1, len(*f.now.Load())):]
		f.now.Store(&next)
	}
}
