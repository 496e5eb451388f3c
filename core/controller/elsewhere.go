// Other URLs that are said to have the content of an exchange (package elsewhere).
package controller

import (
	"midstream/core/config"
	"midstream/core/elsewhere"
	"midstream/core/exchange"
	"midstream/core/http1"
	"midstream/core/reason"
	"midstream/core/resume"
)

// Elsewhere implements recovery.Stream and migration.Stream. There are none over TLS, where another name would have to show a certificate
// for it that the program has never asked for.
func (s *Stream) Elsewhere(e *exchange.Exchange) []elsewhere.Place {
	if e.Secure || e.Proof == config.ProofStrict || !e.Answered() || !e.Asked() {
		return nil
	}
	return elsewhere.Places(s.c.config.Mirrors, e.URL(s.opened.Peer.String()), e.Response)
}

// Foreign implements migration.Stream.
func (s *Stream) Foreign(iface string, p elsewhere.Place, e *exchange.Exchange) (*http1.Request, resume.Destination, error) {
	if !e.Asked() {
		return nil, resume.Destination{}, reason.RequestIncomplete
	}
	request, err := e.Request.Elsewhere(p.URL)
	if err != nil {
		return nil, resume.Destination{}, err
	}
	to, err := s.Destination(iface, request)
	if p.ByServer {
		to.From = s.Place().Server.Addr().Unmap() // it is no more trusted than a redirect
	}
	return request, to, err
}
