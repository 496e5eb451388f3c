// Programs that stand in the trailer section of a chunked response (RFC 9112 §7.1.2): they have all of the content.
package controller

import (
	"bytes"

	"midstream/core/channel"
)

// inTrailer reports whether the program stands in the trailer section, and returns what it has read of it.
func (s *Stream) inTrailer(e *exchange) (read []byte, ok bool) {
	n, ok := s.c.shim.Read(s.slot, s.id)
	if !ok || n.Exchange != e.number || n.Phase != channel.PhaseTrailer {
		return nil, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Clone(e.trailer), true
}
