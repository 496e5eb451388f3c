// What authenticates the program, in the requests that are kept to be repeated.
package controller

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

// complete puts the program's credentials into a request that was made from the exchange's. Whoever sends it overwrites it
// afterwards.
func (s *Stream) complete(e *exchange, request []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.octets == nil {
		return resume.ErrAgain // the exchange is over
	}
	http1.Reveal(request, e.octets)
	return nil
}

// forgetSecrets overwrites what will not be needed any more. With s.mu.
func (s *Stream) forgetSecrets() {
	for _, e := range s.exchanges {
		clear(e.octets)
		e.octets = nil
	}
}
