// Package lease has a time-out that is renewed by what gets on: it bounds for how long nothing may happen, not how long all of it may take.
package lease

import (
	"context"
	"sync"
	"time"
)

// Lease is a context that ends with DeadlineExceeded once it has not been renewed for as long as it was given.
type Lease struct {
	parent context.Context
	done   chan struct{}
	leave  func() bool

	// OnReached, unless it is nil, is told how far a skip has come: a content offset. Set before the lease is used.
	OnReached func(at int64)

	mu    sync.Mutex
	timer *time.Timer
	until time.Time
	err   error
}

// With returns a lease of so long, and what ends it.
func With(parent context.Context, limit time.Duration) (*Lease, context.CancelFunc) {
	l := &Lease{parent: parent, done: make(chan struct{}), until: time.Now().Add(limit)}
	l.mu.Lock() // it may expire, or its parent end, before this is over
	defer l.mu.Unlock()
	l.timer = time.AfterFunc(limit, l.expire)
	l.leave = context.AfterFunc(parent, func() { l.finish(parent.Err()) })
	return l, func() {
		l.leave()
		l.finish(context.Canceled)
	}
}

func (l *Lease) finish(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = err
		l.timer.Stop()
		close(l.done)
	}
}

// expire ends it, unless it has been renewed while its timer was firing.
func (l *Lease) expire() {
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

// Renew lets it last so long from now on at least.
func (l *Lease) Renew(limit time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if until := time.Now().Add(limit); l.err == nil && until.After(l.until) {
		l.until = until
		l.timer.Reset(limit)
	}
}

// Deadline implements context.Context: as long as nothing renews it.
func (l *Lease) Deadline() (time.Time, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if end, ok := l.parent.Deadline(); ok && end.Before(l.until) {
		return end, true
	}
	return l.until, true
}

// Done implements context.Context.
func (l *Lease) Done() <-chan struct{} { return l.done }

// Err implements context.Context.
func (l *Lease) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

type leaseKey struct{}

// Value implements context.Context.
func (l *Lease) Value(key any) any {
	if key == (leaseKey{}) {
		return l
	}
	return l.parent.Value(key)
}

// Renew renews the lease that a context is under, if it is under one.
func Renew(ctx context.Context, limit time.Duration) {
	if l, ok := ctx.Value(leaseKey{}).(*Lease); ok {
		l.Renew(limit)
	}
}

// Reached tells how far a skip has come whoever waits for it.
func Reached(ctx context.Context, at int64) {
	if l, ok := ctx.Value(leaseKey{}).(*Lease); ok && l.OnReached != nil {
		l.OnReached(at)
	}
}
