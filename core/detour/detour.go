// Package detour has the ways to an exchange's content by other URLs than its own: which there are (package elsewhere), how they are asked,
// where their redirects may lead, and what describes the content there (package metalink).
package detour

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"time"

	"midstream/core/config"
	"midstream/core/dial"
	"midstream/core/elsewhere"
	"midstream/core/exchange"
	"midstream/core/http1"
	"midstream/core/metalink"
	"midstream/core/reason"
	"midstream/core/resume"
)

// Detours are those of one process. Safe for concurrent use.
type Detours struct {
	config    *config.Config
	redirects elsewhere.Redirects
}

// New returns those of a process that has not been redirected yet.
func New(c *config.Config) *Detours { return &Detours{config: c} }

// Stream is the program's stream, as its owner shows it to whoever goes round its servers. Safe for concurrent use.
type Stream interface {
	// Believed is the server that the program has connected to, and Server that where it is now.
	Believed() netip.AddrPort
	Server() netip.AddrPort
	// Destination returns where the request goes over the interface, and Open connects there.
	Destination(iface string, request *http1.Request) (resume.Destination, error)
	Open(ctx context.Context, to resume.Destination) (*dial.Conn, error)
	// Asker asks servers about the exchange.
	Asker(e *exchange.Exchange) *resume.HTTP
}

// Redirected remembers where the program is sent by the exchange's answer; peer is the server where the request names none.
func (d *Detours) Redirected(e *exchange.Exchange, peer string) {
	if e.Answered() && e.Asked() && elsewhere.IsRedirect(e.Response.Status) && e.Request.Method == "GET" {
		d.redirects.Add(e.URL(peer), e.Response)
	}
}

// Elsewhere are the other places at which the exchange's content is said to be. There are none over TLS, where another name would have to
// show a certificate for it that the program has never asked for.
func (d *Detours) Elsewhere(e *exchange.Exchange, peer string) (all []elsewhere.Place) {
	if !mayGo(e) {
		return nil
	}
	from := e.URL(peer)
	list := elsewhere.Places(d.config.Mirrors, &d.redirects, from, e.Response)
	if f := e.Described(); f != nil {
		list = elsewhere.Add(list, from, f.URLs)
	}
	for _, p := range list {
		if !e.Distrusted(p.URL) {
			all = append(all, p)
		}
	}
	return all
}

// Are reports whether there may be any.
func (d *Detours) Are(e *exchange.Exchange, peer string) bool {
	return len(d.Elsewhere(e, peer)) > 0 || d.description(e, peer) != ""
}

func mayGo(e *exchange.Exchange) bool {
	return !e.Secure && e.Proof != config.ProofStrict && e.Answered() && e.Asked()
}

// description is where the exchange's content is described, "" if it is nowhere, or nobody wants to know.
func (d *Detours) description(e *exchange.Exchange, peer string) string {
	if !mayGo(e) || e.Live() != nil || d.config.Migration.Meta4 == config.Meta4Never {
		return ""
	}
	from := e.URL(peer)
	if at := elsewhere.Description(from, e.Response); at != "" {
		return at
	}
	origin := d.redirects.Of(from)
	switch {
	case origin.Described != "":
		return origin.Described
	case d.config.Migration.Meta4 != config.Meta4Always || strings.ContainsAny(from, "?#"):
		return ""
	case origin.URL != "" && !strings.ContainsAny(origin.URL, "?#"):
		return origin.URL + ".meta4"
	}
	return from + ".meta4"
}

// describeLimit is how long it may take to fetch what describes the content over one of them.
const describeLimit = 3 * time.Second

// Describe fetches what describes the exchange's content over the first of the interfaces that leads there, once, where it is said that there
// is something.
func (d *Detours) Describe(ctx context.Context, s Stream, interfaces []string, e *exchange.Exchange) {
	at := d.description(e, s.Believed().String())
	if at == "" {
		return
	}
	e.DescribeOnce(func() {
		h := s.Asker(e)
		for _, iface := range interfaces {
			ctx, cancel := context.WithTimeout(ctx, describeLimit)
			err := d.describe(ctx, s, h, iface, elsewhere.Place{URL: at, ByServer: true}, e)
			cancel()
			h.Log.Debug().Str("url", at).Str("over", iface).Err(err).Msg("asked for what describes the content")
			if err == nil {
				return
			}
		}
	})
}

func (d *Detours) describe(ctx context.Context, s Stream, h *resume.HTTP, iface string, at elsewhere.Place, e *exchange.Exchange) error {
	request, to, err := d.Foreign(s, iface, at, e)
	if err != nil {
		return err
	}
	to.Fresh = true
	conn, err := s.Open(ctx, to)
	if err != nil {
		return err
	}
	defer conn.Close()
	return h.Describe(ctx, conn, request, to)
}

// Pieces are what proves the content of other places, nil where nothing does.
func (d *Detours) Pieces(e *exchange.Exchange) *metalink.Pieces {
	if !mayGo(e) {
		return nil
	}
	return e.Pieces()
}

// Foreign is the request for the content at the place, and how that is reached over the interface.
func (d *Detours) Foreign(s Stream, iface string, p elsewhere.Place, e *exchange.Exchange) (*http1.Request, resume.Destination, error) {
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
		to.From = s.Server().Addr().Unmap() // it is no more trusted than a redirect
	}
	return request, to, err
}

// Follow returns where a redirect of what is elsewhere leads, of the request that was asked at the destination: a mirror's to itself, and where
// the program was redirected before, to wherever that is done now, but where it has been. The error says why it is not followed.
func (d *Detours) Follow(s Stream, e *exchange.Exchange, to resume.Destination, asked *http1.Request, location string) (resume.Destination, *http1.Request, error) {
	request, err := asked.Redirected(location, "")
	if err != nil {
		return to, nil, err
	}
	was, _ := asked.Host()
	switch is, _ := request.Host(); {
	case to.Elsewhere.Redirects && request.URL("http", "") == e.URL(s.Believed().String()):
		return to, nil, errors.New("it leads to where the program was sent before")
	case !to.Elsewhere.Redirects && !strings.EqualFold(was, is):
		return to, nil, errors.New("it is not followed to another name")
	}
	next, err := s.Destination(to.Interface, request)
	next.Elsewhere = to.Elsewhere
	return next, request, err
}
