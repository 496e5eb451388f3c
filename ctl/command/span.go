// Times on the command line.
package command

import (
	"errors"
	"time"
)

// Span is the value of an option that is a time; a number alone is seconds.
type Span struct{ time.Duration }

func (s *Span) String() string {
	if s.Duration == 0 {
		return ""
	}
	return s.Duration.String()
}

func (s *Span) Type() string { return "TIME" }

func (s *Span) Set(text string) error {
	d, err := time.ParseDuration(text)
	if err != nil {
		if d, err = time.ParseDuration(text + "s"); err != nil {
			return errors.New("that is no time such as 500ms, 10s, 2m, or 5 for seconds")
		}
	}
	s.Duration = d
	return nil
}
