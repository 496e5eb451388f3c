package turn

import (
	"context"
	"testing"
)

func TestAMoverComesBeforeARelay(t *testing.T) {
	changes := 0
	turn := New(func() { changes++ })
	if !turn.Try() {
		t.Fatal("nobody has it")
	}
	ctx, done, ok := turn.YieldUnlessWanted()
	if !ok || ctx.Err() != nil {
		t.Fatal("nobody wants it")
	}
	moved := make(chan error)
	go func() { moved <- turn.Take(context.Background()) }()
	<-ctx.Done() // the relay is called off
	done()
	if !turn.Wanted() || turn.Try() {
		t.Error("a mover waits")
	}
	if ctx, done, ok := turn.YieldUnlessWanted(); ok || ctx.Err() == nil {
		t.Error("a relay may wait although a mover does")
	} else {
		done()
	}
	turn.Give()
	if err := <-moved; err != nil || turn.Wanted() || changes != 1 {
		t.Errorf("%v, wanted %t, %d changes", err, turn.Wanted(), changes)
	}
	if turn.Try() {
		t.Error("the mover has it")
	}
	turn.Give()
}

func TestWhoeverCannotWaitLeaves(t *testing.T) {
	turn := New(func() {})
	turn.Try()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := turn.Take(ctx); err != context.Canceled || turn.Wanted() {
		t.Errorf("%v, wanted %t", err, turn.Wanted())
	}
	done := turn.First()
	ctx, yielded := turn.Yield() // it waits although a mover has been first
	if ctx.Err() != nil {
		t.Error("only a mover that comes calls it off")
	}
	again := turn.First()
	<-ctx.Done()
	yielded()
	again()
	done()
	turn.Give()
	if !turn.Try() {
		t.Error("nobody has it any more")
	}
}

// A relay that ends does not stand for one that has begun to yield since.
func TestAnOlderRelayDoesNotSpeakForTheNewer(t *testing.T) {
	turn := New(func() {})
	_, older := turn.Yield()
	ctx, newer := turn.Yield()
	defer newer()
	older()
	defer turn.First()()
	if ctx.Err() == nil {
		t.Error("the newer one has not been called off")
	}
}
