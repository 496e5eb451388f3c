// How much of an exchange the program has been handed, by the shim's counters.
package exchange

import (
	"bytes"

	"midstream/core/channel"
	"midstream/core/digest"
	"midstream/core/resume"
)

// Counters are the shim's, of one stream. Safe for concurrent use.
type Counters interface {
	// Read returns a consistent snapshot; ok is false once the stream has been closed.
	Read() (n channel.Snapshot, ok bool)
	// Tail returns the last octets of the exchange's content before the offset end, at most limit, as far as they are kept.
	Tail(exchange uint64, end int64, limit int) []byte
	// Digest returns that of the first `at` octets of the exchange's content; ok is false where none is made.
	Digest(exchange uint64) (at int64, d digest.Digest, ok bool)
}

var _ resume.Receiver = (*Exchange)(nil)

// Received implements resume.Receiver. It never falls: the counters are another exchange's, or another stream's, before the message
// comes that this one is done.
func (e *Exchange) Received() int64 {
	n, ok := e.counters.Read()
	for {
		most := e.received.Load()
		if !ok || n.Exchange != e.Number || n.Received <= most {
			return most
		}
		if e.received.CompareAndSwap(most, n.Received) {
			return n.Received
		}
	}
}

// Tail implements resume.Receiver.
func (e *Exchange) Tail(end int64, limit int) []byte { return e.counters.Tail(e.Number, end, limit) }

// Digest implements resume.Receiver.
func (e *Exchange) Digest() (at int64, d digest.Digest, ok bool) { return e.counters.Digest(e.Number) }

// InTrailer reports whether the program stands in the trailer section of a chunked response (RFC 9112 §7.1.2), where it has all of the
// content, and returns what it has read of it.
func (e *Exchange) InTrailer() (read []byte, ok bool) {
	n, ok := e.counters.Read()
	if !ok || n.Exchange != e.Number || n.Phase != channel.PhaseTrailer {
		return nil, false
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return bytes.Clone(e.trailer), true
}
