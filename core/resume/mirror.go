// Servers that have other validators for the content of an exchange: entity tags are made by each server software in a form of its own.
package resume

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
	// whole: nothing less than all that has been received will prove it.
	whole bool
}

// maxMirrors bounds how many are remembered of an exchange; who comes later is found out about anew each time.
const maxMirrors = 64

// Mirror reports whether the server is known to have other validators, and whether those have been shown to prove by themselves that
// its content is the same.
func (h *HTTP) Mirror(server netip.AddrPort) (known, strong bool) {
	m := h.mirrorAt(server)
	return m != nil, m != nil && m.proved && m.validators.Strong()
}

// mirrorAt returns what is known of the server, nil if it is not known to have other validators.
func (h *HTTP) mirrorAt(server netip.AddrPort) *mirror {
	e := h.Exchange
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, m := range e.mirrors {
		if m.server == server {
			return &m
		}
	}
	return nil
}

// noteMirror remembers the validators of an answer of the server's.
func (h *HTTP) noteMirror(m mirror) {
	e := h.Exchange
	e.mu.Lock()
	defer e.mu.Unlock()
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
func (h *HTTP) standsFor(v http1.Validators) http1.Validators {
	e := h.Exchange
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, m := range e.mirrors {
		if m.proved && m.validators.EqualStrong(v) {
			return m.validators
		}
	}
	was := e.Validators
	was.Length = e.Total
	return was
}
