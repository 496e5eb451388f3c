// Stands in for a test where the laboratory expects one.

package main

import (
	"fmt"
	"os"
)

type stage struct {
	cleanups []func()
	failed   bool
}

func (s *stage) Helper()                           {}
func (s *stage) Cleanup(f func())                  { s.cleanups = append(s.cleanups, f) }
func (s *stage) Failed() bool                      { return s.failed }
func (s *stage) Logf(format string, args ...any)   { fmt.Fprintf(os.Stderr, format+"\n", args...) }
func (s *stage) Errorf(format string, args ...any) { s.failed = true; s.Logf(format, args...) }

func (s *stage) Fatalf(format string, args ...any) {
	s.Errorf(format, args...)
	s.clear()
	os.Exit(1)
}

// clear undoes what was set up, last things first.
func (s *stage) clear() {
	for len(s.cleanups) > 0 {
		last := len(s.cleanups) - 1
		f := s.cleanups[last]
		s.cleanups = s.cleanups[:last]
		f()
	}
}
