package controller

import (
	"context"
	"testing"
	"time"
)

func TestLeaseEndsUnlessItIsRenewed(t *testing.T) {
	l, cancel := withLease(context.Background(), time.Minute)
	defer cancel()
	under, done := context.WithCancel(l)
	defer done()
	renewLease(under, time.Hour)
	if end, ok := l.Deadline(); !ok || time.Until(end) < 30*time.Minute || l.Err() != nil {
		t.Fatalf("until %v, %v", end, l.Err())
	}
	l.renew(time.Second) // never shorter
	if end, _ := l.Deadline(); time.Until(end) < 30*time.Minute {
		t.Fatalf("until %v", end)
	}
	brief, end := withLease(under, time.Millisecond)
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
	l, end := withLease(parent, time.Hour)
	defer end()
	under, done := context.WithTimeout(l, time.Hour)
	defer done()
	cancel()
	<-under.Done()
	if l.Err() != context.Canceled {
		t.Error(l.Err())
	}
	var reached int64
	l.reached = func(at int64) { reached = at }
	reachedInLease(under, 7)
	reachedInLease(context.Background(), 8)
	if reached != 7 {
		t.Error(reached)
	}
}
