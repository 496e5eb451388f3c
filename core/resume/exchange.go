// An exchange of HTTP/1.1 that is to be continued.
package resume

import (
	"sync"
	"sync/atomic"
	"time"

	"midstream/core/config"
	"midstream/core/http1"
	"midstream/core/reason"
)

// Exchange is what has to be known of it. The exported fields are constant once the response's head is complete.
type Exchange struct {
	Request  *http1.Request // without what authenticates the program: see Receiver.Complete
	Response *http1.Response
	Framing  http1.Framing
	Begun    time.Time // when the program had read the response's head

	// The response's content is octets First to Last of a representation of Total octets.
	First, Last, Total int64 // Last and Total are -1 where unknown
	Validators         http1.Validators
	Proof              config.Proof

	mu          sync.Mutex
	mirrors     []mirror // servers that have other validators for it
	description description

	skipping atomic.Bool  // a connection skips what the program has had of it,
	skipEnds atomic.Int64 // until then, by its pace: in ns since 1970
	skips    atomic.Int32 // that have begun
}

// Length returns how many octets of content the response has, -1 where unknown.
func (e *Exchange) Length() int64 {
	if e.Last < 0 {
		return -1
	}
	return e.Last - e.First + 1
}

// Least returns how many octets before an offset are asked for as well, of a server of which nothing is known.
func (e *Exchange) Least() int64 {
	if e.Validators.Strong() {
		return OverlapStrong
	}
	return OverlapFull
}

// Locate finds out which octets of which representation the response carries. It says why the exchange cannot be continued, if it
// cannot.
func (e *Exchange) Locate() reason.Reason {
	if field := http1.TimeRange(e.Response.Fields); field != "" {
		return reason.TimeRange.With(field)
	}
	switch e.Response.Status {
	case 200:
		if e.Framing.Kind == http1.Length {
			e.Total = e.Framing.Length
			e.Last = e.Total - 1
		}
	case 206:
		r, present, err := e.Response.ContentRange()
		if err != nil || !present || r.Unsatisfied() {
			return reason.RangeInvalid.Alone()
		}
		if e.Framing.Kind == http1.Length && e.Framing.Length != r.Length() {
			return reason.RangeLength.Alone()
		}
		e.First, e.Last, e.Total = r.First, r.Last, r.Total
	default:
		return reason.Status.Alone()
	}
	if e.Framing.Coded {
		return reason.Coded.Alone()
	}
	return Provable(e.Validators, e.Total, e.Proof)
}
