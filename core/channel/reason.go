// Why something cannot be: the reasons of cgo/why.def.
package channel

import (
	"fmt"
	"strings"
)

//go:generate sh -c "cd ../.. && go run ./cgo/mirror"

// Why is enum ms_why. 0 is none.
type Why uint32

// Retry is what a reason means for a migration that it has ended: cgo/why.def.
type Retry uint8

const (
	RetryNo   Retry = iota // that is how it ends
	RetryAnew              // the stream has moved on meanwhile: it starts anew
	RetryHere              // the program did not get as far as the offset: it is continued from where it stands
)

// Reason is struct ms_reason, and the error that it is for whoever asked. The zero Reason is none.
type Reason struct {
	Why    Why
	Detail string // of a text that has one
}

// ParseReason reads the data of a Left, an Unmoved or a TwinFailed message.
func ParseReason(b []byte) (Reason, error) {
	if len(b) < 4 {
		return Reason{}, errShort
	}
	return Reason{Why: Why(order.Uint32(b)), Detail: string(b[4:])}, nil
}

// Encode returns it as a message's data.
func (r Reason) Encode() []byte { return append(order.AppendUint32(nil, uint32(r.Why)), r.Detail...) }

// Error is the sentence that users see, without a full stop; "" for none.
func (r Reason) Error() string {
	if r.Why == 0 {
		return ""
	}
	if int64(r.Why) >= int64(len(reasons)) {
		return fmt.Sprintf("a reason that is not known (%d)", r.Why)
	}
	return strings.Replace(reasons[r.Why].text, "%s", r.Detail, 1)
}

// Retry says what becomes of a migration that it has ended.
func (r Reason) Retry() Retry {
	if int64(r.Why) >= int64(len(reasons)) {
		return RetryNo
	}
	return reasons[r.Why].retry
}
