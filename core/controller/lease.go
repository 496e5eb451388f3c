// A time-out that is renewed by what gets on: it bounds for how long nothing may happen, not how long all of it may take.
package controller

import (
	"context"
	"sync"
	"time"
)

// lease is a context that ends with DeadlineExceeded once it has not been renewed for as long as it was given.
type lease struct {
	parent context.Context
	done   chan struct{}
	leave  func() bool

	// reached, unless it is nil, is told how far a skip has come: a content offset. Set before the lease is used.
	reached func(at int64)

	mu    sync.Mutex
	timer *time.Timer
	until time.Time
	err   error
}

// withLease returns a lease of so long, and what ends it.
func withLease(parent context.Context, limit time.Duration) (*lease, context.CancelFunc) {
	l := &lease{parent: parent, done: make(chan struct{}), until: time.Now().Add(limit)}
	l.timer = time.AfterFunc(limit, l.expire)
	l.leave = context.AfterFunc(parent, func() { l.finish(parent.Err()) })
	return l, func() {
		l.leave()
		l.finish(context.Canceled)
	}
}

func (l *lease) finish(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = err
		l.timer.Stop()
		close(l.done)
	}
}

// expire ends it, unless it has been renewed while its timer was firing.
func (l *lease) expire() {
	l.mu.Lock()
	left := time.Until(l.until)
	if left > 0 && l.err == nil {
		l.timer.Reset(left)
	}
	l.mu.Unlock()
	if left <= 0 {
		l.finish(context.DeadlineExceeded)
	}
}

// renew lets it last so long from now on at least.
func (l *lease) renew(limit time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if until := time.Now().Add(limit); l.err == nil && until.After(l.until) {
		l.until = until
		l.timer.Reset(limit)
	}
}

// Deadline implements context.Context: as long as nothing renews it.
func (l *lease) Deadline() (time.Time, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if end, ok := l.parent.Deadline(); ok && end.Before(l.until) {
		return end, true
	}
	return l.until, true
}

// Done implements context.Context.
func (l *lease) Done() <-chan struct{} { return l.done }

// Err implements context.Context.
func (l *lease) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

type leaseKey struct{}

// Value implements context.Context.
func (l *lease) Value(key any) any {
	if key == (leaseKey{}) {
		return l
	}
	return l.parent.Value(key)
}

// renewLease renews the lease that a context is under, if it is under one.
func renewLease(ctx context.Context, limit time.Duration) {
	if l, ok := ctx.Value(leaseKey{}).(*lease); ok {
		l.renew(limit)
	}
}

// reachedInLease tells how far a skip has come whoever waits for it.
func reachedInLease(ctx context.Context, at int64) {
	if l, ok := ctx.Value(leaseKey{}).(*lease); ok && l.reached != nil {
		l.reached(at)
	}
}
