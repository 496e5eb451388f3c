// A request's head: what was asked, of whom (RFC 9112 §3).

package http1

import (
	"fmt"
	"strings"
)

// Request is the head of a request. ParseRequest makes it; it is not changed afterwards,
// so any number of goroutines may read it.
type Request struct {
	Method string
	Target string // as sent, in any of the four forms of RFC 9112 §3.2
	Minor  int    // of the version: 0 for HTTP/1.0, 1 for HTTP/1.1
	Fields        // in the order sent

	head head
}

// ParseRequest reads a head: the octets from the request line up to and including
// the empty line, no more (HeadEnd finds them). It keeps its own copy. The error
// wraps ErrIncomplete, ErrTooLarge or ErrMalformed.
func ParseRequest(octets []byte) (*Request, error) {
	h, err := parseHead(octets)
	if err != nil {
		return nil, fmt.Errorf("parse request head: %w", err)
	}
	method, rest, _ := strings.Cut(h.start, " ")
	target, version, _ := strings.Cut(rest, " ")
	minor, ok := parseVersion(version)
	if !ok || !isToken(method) || !isTarget(target) {
		return nil, fmt.Errorf("parse request head: request line: %w", ErrMalformed)
	}
	return &Request{Method: method, Target: target, Minor: minor, Fields: h.fields, head: h}, nil
}

// Host returns the host that the request is for and its port, "" where none was
// written: from an absolute-form or authority-form target, else from the Host field.
// An IPv6 address comes without brackets. Both are "" where the request does not
// say, or says it in a way that is not valid.
func (r *Request) Host() (host, port string) {
	host, port, _ = splitHostPort(r.authority())
	return host, port
}

// Absolute returns the scheme of a target in absolute-form, the form in which a proxy is asked (RFC 9112 §3.2.2).
func (r *Request) Absolute() (scheme string, ok bool) {
	t := splitTarget(r.Target)
	return t.scheme, t.form == absoluteForm
}

// URL returns the absolute URL for display, without user information, octets
// outside ASCII percent-encoded. scheme ("http", "https") and fallbackHost
// (host[:port], or an address) serve where the request does not say; the target of
// a CONNECT is shown as host:port.
func (r *Request) URL(scheme, fallbackHost string) string {
	authority := r.authority()
	if _, _, ok := splitHostPort(authority); !ok {
		authority = bracket(fallbackHost)
	}
	switch t := splitTarget(r.Target); t.form {
	case absoluteForm:
		return escape(t.scheme + "://" + authority + t.path)
	case authorityForm:
		return escape(authority)
	case asteriskForm:
		return escape(scheme + "://" + authority)
	default:
		return escape(scheme + "://" + authority + r.Target)
	}
}

// authority returns host[:port] as sent, without user information, not yet validated.
func (r *Request) authority() string {
	switch t := splitTarget(r.Target); t.form {
	case absoluteForm, authorityForm:
		return t.authority
	}
	value, _ := r.only("Host")
	return value
}

type targetForm int

const (
	originForm targetForm = iota
	absoluteForm
	authorityForm
	asteriskForm
)

// target is a request target taken apart; scheme and authority are empty in
// origin-form, path holds the query, too.
type target struct {
	form                    targetForm
	scheme, authority, path string
}

func splitTarget(s string) target {
	switch {
	case s == "*":
		return target{form: asteriskForm}
	case s[0] == '/':
		return target{form: originForm, path: s}
	}
	t := target{form: authorityForm}
	scheme, rest, ok := strings.Cut(s, "://")
	if ok && isScheme(scheme) {
		t.form, t.scheme, s = absoluteForm, scheme, rest
	}
	t.authority = s
	if i := strings.IndexAny(s, "/?#"); i >= 0 {
		t.authority, t.path = s[:i], s[i:]
	}
	// User information may itself hold an unencoded "@"; the host cannot.
	t.authority = t.authority[strings.LastIndexByte(t.authority, '@')+1:]
	return t
}

func isScheme(s string) bool {
	for i := 0; i < len(s); i++ {
		if !isAlnum(s[i]) && strings.IndexByte("+-.", s[i]) < 0 {
			return false
		}
	}
	return s != "" && s[0] > '9'
}

// splitHostPort takes host[:port] apart (RFC 3986 §3.2.2, §3.2.3).
func splitHostPort(s string) (host, port string, ok bool) {
	colon := strings.LastIndexByte(s, ':')
	if strings.HasPrefix(s, "[") {
		end := strings.IndexByte(s, ']')
		if end < 0 {
			return "", "", false
		}
		host = s[1:end]
		if strings.Trim(host, "0123456789abcdefABCDEF:.") != "" {
			// A zone, as in fe80::1%25eth0, means nothing to another interface.
			return "", "", false
		}
		if end+1 == len(s) {
			colon = -1
		} else if colon != end+1 {
			return "", "", false
		}
	} else {
		host = s
		if colon >= 0 {
			host = s[:colon]
		}
		for i := 0; i < len(host); i++ {
			if c := host[i]; c < 0x80 && !isAlnum(c) && strings.IndexByte("-._~%!$&'()*+,;=", c) < 0 {
				return "", "", false
			}
		}
	}
	if colon >= 0 {
		port = s[colon+1:]
	}
	if port != "" {
		if n, ok := parseDecimal(port); !ok || n > 65535 {
			return "", "", false
		}
	}
	return host, port, host != ""
}

// bracket puts an IPv6 address without a port into brackets, as a URL needs it.
func bracket(host string) string {
	if strings.Count(host, ":") > 1 && host[0] != '[' {
		return "[" + host + "]"
	}
	return host
}

// escape keeps terminals safe from what a program put into its URL.
func escape(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if c := s[i]; c > 0x20 && c < 0x7f {
			b.WriteByte(c)
		} else {
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		}
	}
	return b.String()
}

// isTarget is wider than the grammar: programs send octets that belong encoded.
// Whitespace and control characters are refused.
func isTarget(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] <= 0x20 || s[i] == 0x7f {
			return false
		}
	}
	return s != ""
}

// parseVersion reads "HTTP/1.x" (RFC 9112 §2.3).
func parseVersion(s string) (minor int, ok bool) {
	const prefix = "HTTP/1."
	if len(s) != len(prefix)+1 || !strings.HasPrefix(s, prefix) {
		return 0, false
	}
	c := s[len(prefix)]
	return int(c - '0'), '0' <= c && c <= '9'
}
