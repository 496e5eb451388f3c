// Servers that have other validators for the content of an exchange: entity tags are made by each server software in a form of its own.
package controller

import (
	"net/netip"

	"midstream/core/http1"
)

// mirror is what is known of such a server.
type mirror struct {
	server     netip.AddrPort
	validators http1.Validators
	// proved: they stand for the same content, as has been shown by octets that were compared. If they are strong, so do they
	// from then on (RFC 9110 §8.8.1), and nothing more has to be compared.
	proved bool
}

// maxMirrors bounds how many are remembered of an exchange; who comes later is found out about anew each time.
const maxMirrors = 64

// mirrorAt returns what is known of the server, nil if it is not known to have other validators.
func (s *Stream) mirrorAt(e *exchange, server netip.AddrPort) *mirror {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range e.mirrors {
		if m.server == server {
			return &m
		}
	}
	return nil
}

// noteMirror remembers the validators of an answer of the server's.
func (s *Stream) noteMirror(e *exchange, m mirror) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range e.mirrors {
		if e.mirrors[i].server == m.server {
			e.mirrors[i] = m
			return
		}
	}
	if len(e.mirrors) < maxMirrors {
		e.mirrors = append(e.mirrors, m)
	}
}

// standsFor returns the strong validators that have been shown to be another form of the exchange's own and are equal to v, or
// else the exchange's own.
func (s *Stream) standsFor(e *exchange, v http1.Validators) http1.Validators {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range e.mirrors {
		if m.proved && m.validators.EqualStrong(v) {
			return m.validators
		}
	}
	was := e.validators
	was.Length = e.total
	return was
}
