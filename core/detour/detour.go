// Package detour has the ways to an exchange's content by other URLs than its own: which there are (package elsewhere), how they are asked,
// where their redirects may lead, and what describes the content there (package metalink).
package detour

import (
	"context"
	"errors"
	"net"
	"net/url"
	"strings"
	"time"

	"midstream/core/config"
	"midstream/core/dial"
	"midstream/core/elsewhere"
	"midstream/core/exchange"
	"midstream/core/http1"
	"midstream/core/metalink"
	"midstream/core/reach"
	"midstream/core/reason"
	"midstream/core/resume"
)

// Detours are those of one process. Safe for concurrent use.
type Detours struct {
	config    *config.Config
	reach     *reach.Reach
	redirects elsewhere.Redirects
}

// New returns those of a process that has not been redirected yet.
func New(c *config.Config, r *reach.Reach) *Detours { return &Detours{config: c, reach: r} }

// Stream is the program's stream, as its owner shows it to whoever goes round its servers. Safe for concurrent use.
type Stream interface {
	// Place is where it is.
	Place() reach.Place
	// Open connects to the destination.
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

// Elsewhere are the other places at which the exchange's content is said to be.
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

// AreNamed reports whether the user or a server has named some, or there is a description that may. A redirect is more common than that, and
// alone no reason to keep, at whatever cost, what will be compared.
func (d *Detours) AreNamed(e *exchange.Exchange, peer string) bool {
	return elsewhere.Named(d.Elsewhere(e, peer)) || d.description(e, peer) != ""
}

func mayGo(e *exchange.Exchange) bool {
	return e.HTTP() && e.Proof != config.ProofStrict && e.Answered() && e.Asked()
}

// description is where the exchange's content is described, "" if it is nowhere, or nobody wants to know.
func (d *Detours) description(e *exchange.Exchange, peer string) string {
	if !mayGo(e) || e.Secure || e.Live() != nil || d.config.Migration.Meta4 == config.Meta4Never {
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
const describeLimit = 1500 * time.Millisecond

// Describe fetches what describes the exchange's content over the first of the interfaces that leads there, once, where it is said that there
// is something.
func (d *Detours) Describe(ctx context.Context, s Stream, interfaces []string, e *exchange.Exchange) {
	at := d.description(e, s.Place().Peer.String())
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
	if !mayGo(e) || e.Secure {
		return nil // of what a twin brings, the core sees what is compared
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
	to, err := d.destination(s, iface, request, e)
	to.Elsewhere = p
	if p.ByServer {
		to.From = s.Place().Server.Addr().Unmap() // it is no more trusted than a redirect
	}
	return request, to, err
}

var errNoName = errors.New("over TLS, a server is known by its name")

// destination is where the request for another URL goes over the interface.
func (d *Detours) destination(s Stream, iface string, request *http1.Request, e *exchange.Exchange) (resume.Destination, error) {
	p := s.Place()
	scheme, _ := request.Absolute()
	p.Secure, p.Tunnel = scheme == "https", ""
	if p.Secure != e.Secure {
		return resume.Destination{}, errors.New("it leads from http to https, or out of that")
	}
	to, err := d.reach.Destination(p, iface, request)
	if p.Secure {
		if to.Name, _ = request.Host(); net.ParseIP(to.Name) != nil {
			return to, errNoName
		}
		to.Form = http1.Form{Kind: http1.OriginForm}
	}
	return to, err
}

// Follow returns where a redirect leads, of the request that was asked at the destination: one of the exchange's own servers only to where the
// program's own answer may come from; a mirror's to itself; and where the program was redirected before, to wherever that is done now, but where
// it has been, and not out of TLS. The error says why it is not followed.
func (d *Detours) Follow(s Stream, e *exchange.Exchange, to resume.Destination, asked *http1.Request, location string) (resume.Destination, *http1.Request, error) {
	if to.Elsewhere.URL != "" {
		return d.followElsewhere(s, e, to, asked, location)
	}
	place := s.Place()
	host, port := d.reach.Host(place, e.Asks())
	if e.Secure {
		var own bool
		if location, own = resume.OwnLocation(location, host, port); !own {
			return to, nil, errors.New("over TLS, it is not followed to another name")
		}
	}
	request, err := asked.Redirected(location, resume.Authority(host, port))
	if err != nil {
		return to, nil, err
	}
	if name, _ := request.Host(); !d.reach.MayFollow(place, name, host) {
		return to, nil, errOtherName
	}
	if e.Secure {
		to.Form = http1.Form{Kind: http1.OriginForm}
		return to, request, nil
	}
	to, err = d.reach.Destination(place, to.Interface, request)
	return to, request, err
}

var errOtherName = errors.New("it is not followed to another name")

func (d *Detours) followElsewhere(s Stream, e *exchange.Exchange, to resume.Destination, asked *http1.Request, location string) (resume.Destination, *http1.Request, error) {
	base, err := url.Parse(asked.Target)
	if err != nil {
		return to, nil, err
	}
	next, err := base.Parse(location)
	if err != nil {
		return to, nil, err
	}
	next.Fragment = ""
	request, err := asked.Elsewhere(next.String())
	if err != nil {
		return to, nil, err
	}
	switch {
	case to.Elsewhere.Redirects && next.String() == e.URL(s.Place().Peer.String()):
		return to, nil, errors.New("it leads to where the program was sent before")
	case !to.Elsewhere.Redirects && !strings.EqualFold(base.Hostname(), next.Hostname()):
		return to, nil, errOtherName
	}
	onward, err := d.destination(s, to.Interface, request, e)
	onward.Elsewhere = to.Elsewhere
	return onward, request, err
}
