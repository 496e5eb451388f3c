// How an interface reaches the server of an exchange: directly, or through a proxy.
package controller

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"midstream/core/budget"
	"midstream/core/config"
	"midstream/core/dial"
	"midstream/core/http1"
	"midstream/core/refusal"
)

// route is where to connect to over an interface, and how requests are written there.
type route struct {
	iface  string
	host   string
	port   uint16
	form   http1.Form
	tunnel *tunnel
	avoid  []netip.AddrPort // servers that have been tried in vain
	fresh  bool             // a new connection is made, whatever stands by
	from   netip.Addr       // of the server that has redirected to there; not valid: none has
}

// tunnel is what the proxy at a route's host is asked for first (RFC 9110 §9.3.6).
type tunnel struct {
	to            string // host:port
	authorization string // value of Proxy-Authorization, "" for none
}

// untouched reports whether requests go there as the program writes them.
func (r route) untouched() bool { return r.form.Kind == http1.AsIs }

// same reports whether a connection made for the one serves the other.
func (r route) same(o route) bool {
	return r.iface == o.iface && r.host == o.host && r.port == o.port && r.form.Kind == o.form.Kind &&
		(r.tunnel == nil) == (o.tunnel == nil) && (r.tunnel == nil || r.tunnel.to == o.tunnel.to)
}

// routeOf returns how the request's host is reached over the interface.
func (s *Stream) routeOf(iface string, request *http1.Request) (route, error) {
	host, port := s.hostOf(&exchange{request: request})
	scheme, absolute := "", false
	if request != nil {
		scheme, absolute = request.Absolute()
	}
	if absolute {
		// The program spoke to a proxy: what counts is the URL.
		if !strings.EqualFold(scheme, "http") {
			return route{}, errors.New("the program asked its proxy for an URL that is not http")
		}
		port = 80
		if _, p := request.Host(); p != "" {
			n, err := strconv.ParseUint(p, 10, 16)
			if err != nil || n == 0 {
				return route{}, errors.New("the requested URL has no valid port")
			}
			port = uint16(n)
		}
	}
	s.mu.Lock()
	secure := s.tls != nil
	s.mu.Unlock()
	settings := s.c.config.Interfaces[iface]
	proxy := settings.Proxy
	if proxy.Environment {
		var bypass []config.HostPattern
		proxy, bypass = config.FromEnvironment(os.Getenv, secure)
		settings.NoProxy = append(bypass, settings.NoProxy...)
	}
	switch {
	case proxy.Host != "" && !settings.Bypass(host):
		authorization := ""
		if proxy.User != "" {
			authorization = "Basic " + base64.StdEncoding.EncodeToString([]byte(proxy.User+":"+proxy.Password.Reveal()))
		}
		if secure {
			to := net.JoinHostPort(host, strconv.Itoa(int(port)))
			return route{iface: iface, host: proxy.Host, port: proxy.Port, tunnel: &tunnel{to, authorization}}, nil
		}
		form := http1.Form{Kind: http1.AbsoluteForm, Host: authority(host, port), ProxyAuthorization: authorization}
		return route{iface: iface, host: proxy.Host, port: proxy.Port, form: form}, nil
	case absolute:
		return route{iface: iface, host: host, port: port, form: http1.Form{Kind: http1.OriginForm}}, nil
	}
	return route{iface: iface, host: host, port: port}, nil
}

// target returns what to connect to over the interface for an exchange: its server, or a proxy.
func (s *Stream) target(iface string, e *exchange) route {
	if e != nil && e.request != nil {
		if r, err := s.routeOf(iface, e.request); err == nil {
			return r
		}
	}
	host, port := s.hostOf(e)
	return route{iface: iface, host: host, port: port}
}

// bore has the proxy that the connection leads to connect to the route's server. The connection is closed after an error.
func (s *Stream) bore(ctx context.Context, conn *dial.Conn, t *tunnel, iface string) error {
	s.mu.Lock()
	e := s.current()
	if e == nil {
		e = s.last
	}
	s.mu.Unlock()
	if e == nil {
		conn.Reset()
		return errOver
	}
	p, err := s.permit(ctx, e, iface, conn)
	if err == nil {
		err = p.Refused(t.ask(ctx, conn, iface, p))
	}
	if err != nil {
		conn.Reset()
	}
	return err
}

// ask has the proxy make the tunnel.
func (t *tunnel) ask(ctx context.Context, conn *dial.Conn, iface string, p budget.Permit) error {
	request := "CONNECT " + t.to + " HTTP/1.1\r\nHost: " + t.to + "\r\n"
	if t.authorization != "" {
		request += "Proxy-Authorization: " + t.authorization + "\r\n"
	}
	answer, err := send(ctx, conn, []byte(request+"\r\n"), p)
	switch {
	case err != nil:
		return fmt.Errorf("the proxy of %s makes no tunnel: %w", iface, err)
	case answer.Status == 407:
		return &refusal.Refusal{Why: fmt.Sprintf("the proxy of %s demands authentication", iface)}
	case answer.Status/100 != 2:
		return &refusal.Refusal{Why: fmt.Sprintf("the proxy of %s answered %d to CONNECT", iface, answer.Status),
			Passing: answer.Status >= 500, After: answer.RetryAfter(time.Now())}
	}
	return nil
}

// authority is host[:port] as in an http URL.
func authority(host string, port uint16) string {
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port == 80 {
		return host
	}
	return host + ":" + strconv.Itoa(int(port))
}
