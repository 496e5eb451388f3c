// Package reason says why something cannot be: the reasons of cgo/why.def, of which each has a code that the shim knows as well, and a
// sentence. What becomes of one is decided by its code; sentences are for people.
package reason

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// Code is enum ms_why. 0 is none. A code is an error, too, of a reason without details.
type Code uint32

// Retry is what a reason means for a migration that it has ended: cgo/why.def.
type Retry uint8

const (
	RetryNo   Retry = iota // that is how it ends
	RetryAnew              // the stream has moved on meanwhile: it starts anew
	RetryHere              // the program did not get as far as the offset: it is continued from where it stands
)

// Reason is struct ms_reason, and the error that it is for whoever asked. The zero Reason is none.
type Reason struct {
	Why    Code
	Detail string // of a sentence that has one; several end with NULs, but for the last
}

// With returns the reason with what its sentence has places for.
func (c Code) With(details ...any) Reason {
	all := make([]string, len(details))
	for i, detail := range details {
		all[i] = fmt.Sprint(detail)
	}
	return Reason{c, strings.Join(all, "\x00")}
}

// Alone returns the reason without details.
func (c Code) Alone() Reason { return Reason{Why: c} }

// Error is Reason's.
func (c Code) Error() string { return c.Alone().Error() }

// Parse reads the data of a Left, an Unmoved or a TwinFailed message.
func Parse(b []byte) (Reason, error) {
	if len(b) < 4 {
		return Reason{}, errors.New("a reason is shorter than its code")
	}
	return Reason{Why: Code(binary.NativeEndian.Uint32(b)), Detail: string(b[4:])}, nil
}

// Encode returns it as a message's data.
func (r Reason) Encode() []byte {
	return append(binary.NativeEndian.AppendUint32(nil, uint32(r.Why)), r.Detail...)
}

// Error is the sentence that users see, without a full stop; "" for none.
func (r Reason) Error() string {
	if r.Why == 0 {
		return ""
	}
	if int64(r.Why) >= int64(len(reasons)) {
		return fmt.Sprintf("a reason that is not known (%d)", r.Why)
	}
	text := reasons[r.Why].text
	places := strings.Count(text, "%s")
	if places == 0 {
		return text
	}
	details := strings.SplitN(r.Detail, "\x00", places)
	var b strings.Builder
	for i, part := range strings.Split(text, "%s") {
		if i > 0 && i <= len(details) {
			b.WriteString(details[i-1])
		}
		b.WriteString(part)
	}
	return b.String()
}

// None reports whether there is no reason.
func (r Reason) None() bool { return r.Why == 0 }

// Err returns it as an error, nil for none.
func (r Reason) Err() error {
	if r.None() {
		return nil
	}
	return r
}

// Is reports whether the target is its code: for errors.Is.
func (r Reason) Is(target error) bool { return target == error(r.Why) }

// Retry says what becomes of a migration that it has ended.
func (r Reason) Retry() Retry {
	if int64(r.Why) >= int64(len(reasons)) {
		return RetryNo
	}
	return reasons[r.Why].retry
}
