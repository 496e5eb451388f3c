// How an interface reaches the server of an exchange: directly, or through a proxy.
package controller

import (
	"context"
	"encoding/base64"
	"errors"
	"net"
	"os"
	"strconv"
	"strings"

	"midstream/core/config"
	"midstream/core/dial"
	"midstream/core/exchange"
	"midstream/core/http1"
	"midstream/core/resume"
)

// Destination returns how the request's host is reached over the interface.
func (s *Stream) Destination(iface string, request *http1.Request) (resume.Destination, error) {
	host, port := s.hostOf(request)
	scheme, absolute := "", false
	if request != nil {
		scheme, absolute = request.Absolute()
	}
	if absolute {
		// The program spoke to a proxy: what counts is the URL.
		if !strings.EqualFold(scheme, "http") {
			return resume.Destination{}, errors.New("the program asked its proxy for an URL that is not http")
		}
		port = 80
		if _, p := request.Host(); p != "" {
			n, err := strconv.ParseUint(p, 10, 16)
			if err != nil || n == 0 {
				return resume.Destination{}, errors.New("the requested URL has no valid port")
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
			return resume.Destination{Interface: iface, Host: proxy.Host, Port: proxy.Port, Tunnel: &resume.Tunnel{To: to, Authorization: authorization}}, nil
		}
		form := http1.Form{Kind: http1.AbsoluteForm, Host: resume.Authority(host, port), ProxyAuthorization: authorization}
		return resume.Destination{Interface: iface, Host: proxy.Host, Port: proxy.Port, Form: form}, nil
	case absolute:
		return resume.Destination{Interface: iface, Host: host, Port: port, Form: http1.Form{Kind: http1.OriginForm}}, nil
	}
	return resume.Destination{Interface: iface, Host: host, Port: port}, nil
}

// destinationFor returns what to connect to over the interface for an exchange: its server, or a proxy.
func (s *Stream) destinationFor(iface string, e *exchange.Exchange) resume.Destination {
	request := e.Asks()
	if request != nil {
		if r, err := s.Destination(iface, request); err == nil {
			return r
		}
	}
	host, port := s.hostOf(request)
	return resume.Destination{Interface: iface, Host: host, Port: port}
}

// bore has the proxy that the connection leads to connect to the destination's server. The connection is closed after an error.
func (s *Stream) bore(ctx context.Context, conn *dial.Conn, t *resume.Tunnel, iface string) error {
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
	p, err := s.Permit(ctx, e, iface, conn)
	if err == nil {
		err = p.Refused(t.Ask(ctx, conn, iface, p))
	}
	if err != nil {
		conn.Reset()
	}
	return err
}
