// What authenticates the program, in the requests that are kept to be repeated.
package exchange

import (
	"midstream/core/http1"
	"midstream/core/resume"
)

// appendSecret is append that leaves no copy behind.
func appendSecret(to, more []byte) []byte {
	if cap(to)-len(to) < len(more) {
		larger := make([]byte, len(to), 2*len(to)+len(more))
		copy(larger, to)
		clear(to)
		to = larger
	}
	return append(to, more...)
}

// Complete implements resume.Receiver: it puts the program's credentials into a request that was made from the exchange's. Whoever
// sends it overwrites it afterwards. resume.ErrAgain: the exchange is over.
func (e *Exchange) Complete(request []byte) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.octets == nil {
		return resume.ErrAgain
	}
	http1.Reveal(request, e.octets)
	return nil
}

// AppendRequest appends the request's head as the program has written it; whoever has asked for it overwrites it.
func (e *Exchange) AppendRequest(to []byte) []byte {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append(to, e.octets...)
}

// forget overwrites what will not be needed any more. With mu.
func (e *Exchange) forget() {
	clear(e.octets)
	e.octets = nil
}
