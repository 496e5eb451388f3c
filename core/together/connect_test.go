package together

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"midstream/core/dial"
	"midstream/core/dial/dialtest"
)

func TestAConnectionThatTakesLongIsTriedAgain(t *testing.T) {
	var attempts atomic.Int32
	ended := make(chan error, 1)
	want, _ := dialtest.Pair(t)
	got, err := connect(t.Context(), func(ctx context.Context) (*dial.Conn, error) {
		if attempts.Add(1) == 1 {
			<-ctx.Done() // its SYN is lost
			ended <- ctx.Err()
			return nil, ctx.Err()
		}
		return want, nil
	})
	if err != nil || got != want {
		t.Error(got, err)
	}
	if <-ended; attempts.Load() != 2 {
		t.Errorf("%d attempts", attempts.Load())
	}
}

func TestAConnectionThatComesTooLateIsEnded(t *testing.T) {
	late, server := dialtest.Pair(t)
	want, _ := dialtest.Pair(t)
	var attempts atomic.Int32
	if got, err := connect(t.Context(), func(ctx context.Context) (*dial.Conn, error) {
		if attempts.Add(1) == 1 {
			<-ctx.Done()
			return late, nil
		}
		return want, nil
	}); err != nil || got != want {
		t.Error(got, err)
	}
	if _, err := server.Read(make([]byte, 1)); err == nil {
		t.Error("it is still there")
	}
}

func TestARefusalIsNotWaitedFor(t *testing.T) {
	var attempts atomic.Int32
	refused := errors.New("refused")
	if _, err := connect(t.Context(), func(context.Context) (*dial.Conn, error) { attempts.Add(1); return nil, refused }); err != refused || attempts.Load() != 1 {
		t.Errorf("%v, %d attempts", err, attempts.Load())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := connect(ctx, func(ctx context.Context) (*dial.Conn, error) { <-ctx.Done(); return nil, ctx.Err() }); err == nil {
		t.Error("no error of a wait that is over")
	}
}
