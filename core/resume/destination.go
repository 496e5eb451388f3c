// Where requests are sent: to a server, or through a proxy.
package resume

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"midstream/core/budget"
	"midstream/core/dial"
	"midstream/core/elsewhere"
	"midstream/core/http1"
	"midstream/core/reason"
	"midstream/core/refusal"
)

// Destination is where to connect to over an interface, and how requests are written there.
type Destination struct {
	Interface string
	Host      string
	Port      uint16
	Form      http1.Form
	Tunnel    *Tunnel
	Avoid     []netip.AddrPort // servers that have been tried in vain
	Fresh     bool             // a new connection is made, whatever stands by
	From      netip.Addr       // of the server that has redirected to there; not valid: none has
	Elsewhere elsewhere.Place  // where that is another URL's than the exchange's
	Name      string           // of a server of another name than the program's, where the stream carries TLS
}

// Tunnel is what the proxy at a destination's host is asked for first (RFC 9110 §9.3.6).
type Tunnel struct {
	To            string // host:port
	Authorization string // value of Proxy-Authorization, "" for none
}

// Untouched reports whether requests go there as the program writes them.
func (d Destination) Untouched() bool { return d.Form.Kind == http1.AsIs }

// Same reports whether a connection made for the one serves the other.
func (d Destination) Same(o Destination) bool {
	return d.Name == o.Name && d.Interface == o.Interface && d.Host == o.Host && d.Port == o.Port && d.Form.Kind == o.Form.Kind &&
		(d.Tunnel == nil) == (o.Tunnel == nil) && (d.Tunnel == nil || d.Tunnel.To == o.Tunnel.To)
}

// Ask has the proxy make the tunnel.
func (t *Tunnel) Ask(ctx context.Context, conn *dial.Conn, iface string, p budget.Permit) error {
	request := "CONNECT " + t.To + " HTTP/1.1\r\nHost: " + t.To + "\r\n"
	if t.Authorization != "" {
		request += "Proxy-Authorization: " + t.Authorization + "\r\n"
	}
	answer, err := Send(ctx, conn, []byte(request+"\r\n"), p)
	switch {
	case err != nil:
		return fmt.Errorf("the proxy of %s makes no tunnel: %w", iface, err)
	case answer.Status == 407:
		return &refusal.Refusal{Why: reason.ProxyAuth.With(iface)}
	case answer.Status/100 != 2:
		return &refusal.Refusal{Why: reason.ProxyAnswered.With(iface, answer.Status),
			Passing: answer.Status >= 500, After: answer.RetryAfter(time.Now())}
	}
	return nil
}

// Authority is host[:port] as in an http URL.
func Authority(host string, port uint16) string {
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port == 80 {
		return host
	}
	return host + ":" + strconv.Itoa(int(port))
}
