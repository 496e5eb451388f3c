package lease

import (
	"context"
	"testing"
	"time"
)

func TestLeaseEndsUnlessItIsRenewed(t *testing.T) {
	l, cancel := With(context.Background(), time.Minute)
	defer cancel()
	under, done := context.WithCancel(l)
	defer done()
	Renew(under, time.Hour)
	if end, ok := l.Deadline(); !ok || time.Until(end) < 30*time.Minute || l.Err() != nil {
		t.Fatalf("until %v, %v", end, l.Err())
	}
	l.Renew(time.Second) // never shorter
	if end, _ := l.Deadline(); time.Until(end) < 30*time.Minute {
		t.Fatalf("until %v", end)
	}
	brief, end := With(under, time.Millisecond)
	defer end()
	select {
	case <-brief.Done():
	case <-time.After(10 * time.Second):
		t.Fatal("it does not end")
	}
	if brief.Err() != context.DeadlineExceeded || l.Err() != nil {
		t.Errorf("%v, %v", brief.Err(), l.Err())
	}
}

func TestLeaseEndsWithItsParent(t *testing.T) {
	parent, cancel := context.WithCancel(context.Background())
	l, end := With(parent, time.Hour)
	defer end()
	under, done := context.WithTimeout(l, time.Hour)
	defer done()
	cancel()
	<-under.Done()
	if l.Err() != context.Canceled {
		t.Error(l.Err())
	}
	var reached int64
	l.OnReached = func(at int64) { reached = at }
	Reached(under, 7)
	Reached(context.Background(), 8)
	if reached != 7 {
		t.Error(reached)
	}
}
