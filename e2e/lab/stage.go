// Stands in for a test where a program, not a test, needs the laboratory.

package lab

import (
	"fmt"
	"os"
)

// Stage is a TB that reports on standard error; Fatalf ends the program.
type Stage struct {
	cleanups []func()
	failed   bool
}

func (s *Stage) Helper()                           {}
func (s *Stage) Cleanup(f func())                  { s.cleanups = append(s.cleanups, f) }
func (s *Stage) Failed() bool                      { return s.failed }
func (s *Stage) Logf(format string, args ...any)   { fmt.Fprintf(os.Stderr, format+"\n", args...) }
func (s *Stage) Errorf(format string, args ...any) { s.failed = true; s.Logf(format, args...) }

func (s *Stage) Fatalf(format string, args ...any) {
	s.Errorf(format, args...)
	s.Clear()
	os.Exit(1)
}

// Clear undoes what was set up, last things first.
func (s *Stage) Clear() {
	for len(s.cleanups) > 0 {
		last := len(s.cleanups) - 1
		f := s.cleanups[last]
		s.cleanups = s.cleanups[:last]
		f()
	}
}
