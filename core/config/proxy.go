// Proxies, and the hosts that are reached without one.
package config

import (
	"errors"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// Proxy is an interface's HTTP proxy. The zero value means: none.
type Proxy struct {
	// Environment asks for the proxy that the program's environment names (http_proxy, no_proxy).
	Environment bool
	// Host is a name or address without brackets, "" where no proxy is set; Port is 1 to 65535.
	Host string
	Port uint16
	// User and Password are for Basic authentication (RFC 7617); User is "" where there is none.
	User     string
	Password Secret
}

// String gives the value as the configuration has it, the password replaced by stars.
func (p Proxy) String() string {
	if p.Environment {
		return "environment"
	}
	if p.Host == "" {
		return ""
	}
	host := p.Host
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	user := ""
	if p.User != "" {
		user = url.PathEscape(p.User)
		if p.Password.value != "" {
			user += ":" + mask
		}
		user += "@"
	}
	return "http://" + user + host + ":" + strconv.Itoa(int(p.Port))
}

// MarshalText encodes what String shows.
func (p Proxy) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// parseProxy reads a proxy value. Its errors do not repeat the value.
func parseProxy(value string) (Proxy, error) {
	switch value {
	case "":
		return Proxy{}, nil
	case "environment":
		return Proxy{Environment: true}, nil
	}
	u, err := url.Parse(value)
	if err != nil {
		return Proxy{}, errors.New("this is not a URL")
	}
	switch {
	case u.Scheme != "http":
		return Proxy{}, errors.New("the URL does not begin with http://")
	case u.Hostname() == "":
		return Proxy{}, errors.New("the URL names no host")
	case (u.Path != "" && u.Path != "/") || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return Proxy{}, errors.New("the URL goes on after the port")
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	if err != nil || port == 0 {
		return Proxy{}, errors.New("the URL has no port between 1 and 65535")
	}
	p := Proxy{Host: u.Hostname(), Port: uint16(port)}
	if !validHost(p.Host) {
		return Proxy{}, errors.New("the URL's host is neither a name nor an address")
	}
	if u.User != nil {
		password, _ := u.User.Password()
		p.User, p.Password = u.User.Username(), Secret{password}
		// RFC 7617, section 2: a user-id with a colon cannot be told from its password.
		if p.User == "" || strings.Contains(p.User, ":") || hasControl(p.User+password) {
			return Proxy{}, errors.New("the URL's user or password cannot be sent by Basic authentication")
		}
	}
	return p, nil
}

func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

func validHost(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	return host != "" && len(host) <= 253 && !strings.ContainsFunc(host, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '.' || r == '_')
	})
}

// HostPattern is one entry of no_proxy: an address, a prefix of addresses, "*", or a host name that
// stands for itself and all names under it.
type HostPattern struct {
	prefix netip.Prefix
	name   string // lower case, no leading or trailing dot
}

// Match tells whether host, a name or an address without brackets, falls under the pattern.
func (h HostPattern) Match(host string) bool {
	if h.name == "*" {
		return true
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		return h.name == "" && h.prefix.Contains(addr.WithZone("").Unmap())
	}
	if h.name == "" {
		return false
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return host == h.name || strings.HasSuffix(host, "."+h.name)
}

// String gives the pattern as the configuration has it.
func (h HostPattern) String() string {
	switch {
	case h.name != "":
		return h.name
	case h.prefix.IsSingleIP():
		return h.prefix.Addr().String()
	}
	return h.prefix.String()
}

// MarshalText encodes what String shows.
func (h HostPattern) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

func parseHostPattern(value string) (HostPattern, error) {
	if value == "*" {
		return HostPattern{name: "*"}, nil
	}
	if addr, err := netip.ParseAddr(value); err == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		return HostPattern{prefix: netip.PrefixFrom(addr, addr.BitLen())}, nil
	}
	if prefix, err := netip.ParsePrefix(value); err == nil && !prefix.Addr().Is4In6() {
		return HostPattern{prefix: prefix.Masked()}, nil
	}
	name := strings.ToLower(strings.TrimSuffix(strings.TrimPrefix(value, "."), "."))
	if !validHost(name) || strings.Contains(name, "..") {
		return HostPattern{}, errors.New("neither a host name nor an address nor a prefix")
	}
	return HostPattern{name: name}, nil
}

// Bypass tells whether host, a name or an address without brackets, is reached without i's proxy.
func (i Interface) Bypass(host string) bool {
	for _, h := range i.NoProxy {
		if h.Match(host) {
			return true
		}
	}
	return false
}
