package together

import (
	"context"
	"errors"
	"testing"
	"time"

	"midstream/core/dial"
	"midstream/core/dial/dialtest"
)

// made returns attempts: each makes a connection once its channel is closed, nil: at once.
func made(t *testing.T, when ...chan bool) (all []*early) {
	for _, c := range when {
		conn, _ := dialtest.Pair(t)
		all = append(all, begin(time.Minute, func(context.Context) (*dial.Conn, error) {
			if c != nil {
				<-c
			}
			return conn, nil
		}))
	}
	return all
}

func anyone(int) bool { return true }

func TestTheFirstConnectionIsWaitedForAWhile(t *testing.T) {
	gate := make(chan bool)
	all := made(t, gate, nil)
	<-all[1].done
	time.AfterFunc(slower/10, func() { close(gate) })
	if i, err := firstOf(t.Context(), all, anyone); i != 0 || err != nil {
		t.Error(i, err)
	}
}

func TestAnotherConnectionStandsForOneThatIsLate(t *testing.T) {
	never := make(chan bool)
	defer close(never)
	all := made(t, never, never, nil)
	if i, err := firstOf(t.Context(), all, anyone); i != 2 || err != nil {
		t.Error(i, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*slower)
	defer cancel()
	if i, err := firstOf(ctx, all, func(int) bool { return false }); err == nil {
		t.Error("one that must not stand for it does:", i)
	}
}

func TestThatTheFirstCannotBeMadeIsSaid(t *testing.T) {
	refused := errors.New("refused")
	all := append([]*early{begin(time.Minute, func(context.Context) (*dial.Conn, error) { return nil, refused })}, made(t, nil)...)
	if _, err := firstOf(t.Context(), all, anyone); err != refused {
		t.Error(err)
	}
}

func TestAConnectionThatIsNotWantedIsEnded(t *testing.T) {
	late, server := dialtest.Pair(t)
	gate := make(chan bool)
	c := begin(time.Minute, func(context.Context) (*dial.Conn, error) { <-gate; return late, nil })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.await(ctx); err == nil {
		t.Error("no error")
	}
	close(gate)
	if _, err := server.Read(make([]byte, 1)); err == nil {
		t.Error("it is still there")
	}
}
