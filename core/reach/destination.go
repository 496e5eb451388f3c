// How an interface reaches the server of a request: directly, or through a proxy.
package reach

import (
	"encoding/base64"
	"net"
	"os"
	"strconv"
	"strings"

	"midstream/core/config"
	"midstream/core/http1"
	"midstream/core/reason"
	"midstream/core/resume"
)

// Host returns the host and port that a request is about, or, without one, the stream at that place; the port is the one the program
// connected to.
func (r *Reach) Host(p Place, request *http1.Request) (host string, port uint16) {
	port = p.Peer.Port()
	tunnel, text, err := net.SplitHostPort(p.Tunnel)
	if n, bad := strconv.ParseUint(text, 10, 16); err == nil && bad == nil && n > 0 {
		port = uint16(n)
	}
	if request != nil {
		host, _ = request.Host()
	}
	if host == "" {
		host = tunnel
	}
	if host == "" {
		if name, ok := r.names.Name(p.Peer.Addr()); ok {
			return name, port
		}
		host = p.Peer.Addr().String()
	}
	return strings.Trim(host, "[]"), port
}

// DestinationOr is Destination, or, where that is an error, the stream's own server, without a proxy.
func (r *Reach) DestinationOr(p Place, iface string, request *http1.Request) resume.Destination {
	if request != nil {
		if d, err := r.Destination(p, iface, request); err == nil {
			return d
		}
	}
	host, port := r.Host(p, request)
	return resume.Destination{Interface: iface, Host: host, Port: port}
}

// Destination returns how the request's host is reached over the interface, for a stream at that place.
func (r *Reach) Destination(p Place, iface string, request *http1.Request) (resume.Destination, error) {
	host, port := r.Host(p, request)
	scheme, absolute := "", false
	if request != nil {
		scheme, absolute = request.Absolute()
	}
	if absolute {
		// The program spoke to a proxy: what counts is the URL.
		switch secure := strings.EqualFold(scheme, "https"); {
		case secure && p.Secure:
			port = 443
		case secure, !strings.EqualFold(scheme, "http"):
			return resume.Destination{}, reason.TargetProxied
		default:
			port = 80
		}
		if _, text := request.Host(); text != "" {
			n, err := strconv.ParseUint(text, 10, 16)
			if err != nil || n == 0 {
				return resume.Destination{}, reason.TargetPort
			}
			port = uint16(n)
		}
	}
	settings := r.config.Interfaces[iface]
	proxy := settings.Proxy
	if proxy.Environment {
		var bypass []config.HostPattern
		proxy, bypass = config.FromEnvironment(os.Getenv, p.Secure)
		settings.NoProxy = append(bypass, settings.NoProxy...)
	}
	switch {
	case proxy.Host != "" && !settings.Bypass(host):
		authorization := ""
		if proxy.User != "" {
			authorization = "Basic " + base64.StdEncoding.EncodeToString([]byte(proxy.User+":"+proxy.Password.Reveal()))
		}
		if p.Secure {
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
