// Other URLs that are said to have the content of an exchange (package elsewhere).
package controller

import (
	"errors"
	"strings"

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
	return elsewhere.Places(s.c.config.Mirrors, &s.c.redirects, e.URL(s.opened.Peer.String()), e.Response)
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
	to.Elsewhere = p
	if p.ByServer {
		to.From = s.Place().Server.Addr().Unmap() // it is no more trusted than a redirect
	}
	return request, to, err
}

// redirected remembers where the program is sent by the exchange's answer. With s.mu.
func (s *Stream) redirected(e *exchange.Exchange) {
	if e.Answered() && e.Asked() && elsewhere.IsRedirect(e.Response.Status) && e.Request.Method == "GET" {
		s.c.redirects.Add(e.URL(s.opened.Peer.String()), e.Response)
	}
}

// follows says where a redirect of what is elsewhere may lead: a mirror's to itself, and where the program was redirected before, to
// wherever that is done now, but where it has been.
func (s *Stream) follows(e *exchange.Exchange, from elsewhere.Place, asked, request *http1.Request) error {
	was, _ := asked.Host()
	switch is, _ := request.Host(); {
	case from.Redirects && request.URL("http", "") == e.URL(s.opened.Peer.String()):
		return errors.New("it leads to where the program was sent before")
	case !from.Redirects && !strings.EqualFold(was, is):
		return errors.New("it is not followed to another name")
	}
	return nil
}
