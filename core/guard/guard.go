// Package guard keeps a mistake of Midstream's from ending the program that Midstream is a guest of: a panic in a
// goroutine started by Go ends Midstream's work in the process, and nothing else.
package guard

import (
	"runtime/debug"
	"sync/atomic"
)

var onPanic atomic.Pointer[func(value any, stack []byte)]

// OnPanic sets what is called, once for each panic, after a goroutine has ended so. The function must not panic.
func OnPanic(f func(value any, stack []byte)) { onPanic.Store(&f) }

// Go calls f in a goroutine of its own. Safe for concurrent use.
func Go(f func()) {
	go func() {
		defer Recover()
		f()
	}()
}

// Recover is for goroutines that others start, deferred at their beginning.
func Recover() {
	value := recover()
	if value == nil {
		return
	}
	if f := onPanic.Load(); f != nil {
		(*f)(value, debug.Stack())
	}
}
