// Asking the servers of a name, one after the other, and those where redirects lead.
package resume

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"midstream/core/dial"
	"midstream/core/elsewhere"
	"midstream/core/http1"
	"midstream/core/refusal"
)

// maxServers bounds how many servers of one name are tried in a migration; maxRedirects how many redirects are
// followed there.
const (
	maxServers   = 4
	maxRedirects = elsewhere.Hops // each is a request (package budget), and they are followed again where the offset could not be reached
)

// Finder finds servers and connects to them.
type Finder interface {
	// Open connects to a server of the destination's host, over its interface: to none of d.Avoid. Where the stream carries TLS, a
	// session lies over the connection.
	Open(ctx context.Context, d Destination) (*dial.Conn, error)
	// Follow returns how the request reads, and where it goes, where a redirect has led that came from d's server. The error says why
	// it is not followed.
	Follow(d Destination, request *http1.Request, location string) (Destination, *http1.Request, error)
}

// OverServers connects to the destination's servers, one after the other, until do succeeds or fails for a reason that
// is not the server's. do takes the connection over when it succeeds; it may close it when it fails. ready, unless it is nil,
// is a connection to the first.
func OverServers(ctx context.Context, f Finder, d Destination, ready *dial.Conn, do func(Destination, *dial.Conn) error) error {
	var first error
	asked := false
	for range maxServers {
		conn, err := ready, error(nil)
		if ready = nil; conn == nil {
			conn, err = f.Open(ctx, d)
		}
		if err == nil {
			if err = do(d, conn); err == nil {
				return nil
			}
			conn.Close()
		}
		var r *refusal.Refusal
		switch {
		case first != nil && conn == nil:
			return first
		case !errors.As(err, &r), !r.Server && !r.More, r.Ours:
			return err
		case !r.More:
			d.Avoid = append(d.Avoid, conn.Remote())
		}
		if first == nil || r.More || asked {
			first = err
		}
		asked = r.More // the server is asked again, differently: what it says then is the reason
	}
	return first
}

// Obtain asks for the rest and follows redirects. The rest may be on another connection than conn, which is the caller's to close.
func Obtain(ctx context.Context, f Finder, of Offsets, conn *dial.Conn, q Question) (*Rest, error) {
	for hops := 0; ; hops++ {
		r, err := of.Ask(ctx, conn, q)
		if err != nil && hops > 0 {
			conn.Close()
		}
		var to *Redirect
		if !errors.As(err, &to) {
			return r, err
		}
		if hops == maxRedirects {
			return nil, to.Refuse("it redirects without end")
		}
		d, request, err := f.Follow(q.To, q.Request, to.Location)
		if err != nil {
			return nil, to.Refuse(err.Error())
		}
		d.From = conn.Remote().Addr().Unmap()
		q.Request, q.To, q.Moved = request, d, true
		if conn, err = f.Open(q.Waits(ctx), d); err != nil {
			return nil, to.Refuse(err.Error())
		}
	}
}

// OwnLocation returns a redirect's location without the server, if that is the one that the TLS session is with: whatever
// bears another name would have to show a certificate for it that the program has never asked for.
func OwnLocation(location, host string, port uint16) (relative string, own bool) {
	rest := location
	switch {
	case len(rest) >= 8 && strings.EqualFold(rest[:8], "https://"):
		rest = rest[8:]
	case strings.HasPrefix(rest, "//"):
		rest = rest[2:]
	default:
		first, _, _ := strings.Cut(location, "/")
		return location, !strings.Contains(first, ":")
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	name, number := rest[:end], uint64(443)
	if at := strings.LastIndexByte(name, ':'); at > strings.LastIndexByte(name, ']') {
		var err error
		if number, err = strconv.ParseUint(name[at+1:], 10, 16); err != nil {
			return "", false
		}
		name = name[:at]
	}
	if !strings.EqualFold(strings.Trim(name, "[]"), host) || number != uint64(port) {
		return "", false
	}
	if rest = rest[end:]; !strings.HasPrefix(rest, "/") {
		rest = "/" + rest
	}
	return rest, true
}
