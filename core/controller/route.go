// How an interface reaches the server of an exchange: directly, or through a proxy.
package controller

import (
	"encoding/base64"
	"errors"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"midstream/core/config"
	"midstream/core/http1"
)

// route is where to connect to over an interface, and how requests are written there.
type route struct {
	iface string
	host  string
	port  uint16
	form  http1.Form
	avoid []netip.AddrPort // servers that have been tried in vain
}

// untouched reports whether requests go there as the program writes them.
func (r route) untouched() bool { return r.form.Kind == http1.AsIs }

// same reports whether a connection made for the one serves the other.
func (r route) same(o route) bool {
	return r.iface == o.iface && r.host == o.host && r.port == o.port && r.form.Kind == o.form.Kind
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
	if secure {
		return route{iface: iface, host: host, port: port}, nil
	}
	settings := s.c.config.Interfaces[iface]
	proxy := settings.Proxy
	if proxy.Environment {
		var bypass []config.HostPattern
		proxy, bypass = config.FromEnvironment(os.Getenv)
		settings.NoProxy = append(bypass, settings.NoProxy...)
	}
	switch {
	case proxy.Host != "" && !settings.Bypass(host):
		form := http1.Form{Kind: http1.AbsoluteForm, Host: authority(host, port)}
		if proxy.User != "" {
			form.ProxyAuthorization = "Basic " + base64.StdEncoding.EncodeToString([]byte(proxy.User+":"+proxy.Password.Reveal()))
		}
		return route{iface: iface, host: proxy.Host, port: proxy.Port, form: form}, nil
	case absolute:
		return route{iface: iface, host: host, port: port, form: http1.Form{Kind: http1.OriginForm}}, nil
	}
	return route{iface: iface, host: host, port: port}, nil
}

// target returns what to connect to over the interface for an exchange: its server, or a proxy.
func (s *Stream) target(iface string, e *exchange) (host string, port uint16) {
	if e != nil && e.request != nil {
		if r, err := s.routeOf(iface, e.request); err == nil {
			return r.host, r.port
		}
	}
	return s.hostOf(e)
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
