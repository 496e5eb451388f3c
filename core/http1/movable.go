// Which requests may be sent a second time, on another connection, for the rest of their answer.

package http1

import (
	"bytes"
	"strings"
)

// Movable reports whether the request can be repeated elsewhere for the rest of
// its content; why is a short sentence where it cannot. The response has its own
// conditions beside these, and see AwaitsUpgrade.
func (r *Request) Movable() (ok bool, why string) {
	why = r.immovable()
	return why == "", why
}

func (r *Request) immovable() string {
	switch {
	case r.Method == "HEAD":
		return "the response to a HEAD request has no content to move"
	case r.Method != "GET":
		return "only GET requests can be moved"
	case r.Has("Expect"):
		return "the request carries an expectation (Expect)"
	case r.Has("Transfer-Encoding"), r.hasContent():
		return "the request has content of its own"
	}
	if _, _, err := r.Range(); err == ErrSeveralRanges {
		return "the request asks for several ranges"
	}
	if scheme := r.connectionScheme(); scheme != "" {
		return "the authentication (" + scheme + ") is bound to the connection"
	}
	if len(r.Values("Host")) > 1 {
		return "the request has several Host fields"
	}
	t := splitTarget(r.Target)
	switch {
	case t.form == originForm:
	case t.form != absoluteForm:
		return "the request target is not a path or a URL"
	case !strings.EqualFold(t.scheme, "http") && !strings.EqualFold(t.scheme, "https"):
		return "the requested URL is not http or https"
	default:
		if host, _ := r.Host(); host == "" {
			return "the requested URL has no valid host"
		}
	}
	return ""
}

// BoundToConnection reports whether the request authenticates its connection, not only itself: then no later
// request of the connection can be sent on another one either.
func (r *Request) BoundToConnection() bool { return r.connectionScheme() != "" }

// connectionScheme returns the scheme by which the server authenticates the connection, not the request
// (RFC 4559 §6), "" if there is none.
func (r *Request) connectionScheme() string {
	for _, f := range r.Fields {
		if !f.Is("Authorization") && !f.Is("Proxy-Authorization") {
			continue
		}
		if scheme := strings.FieldsFunc(f.Value, isBlank); len(scheme) > 0 && authenticatesConnection([]byte(scheme[0])) {
			return scheme[0]
		}
	}
	return ""
}

func isBlank(r rune) bool { return r == ' ' || r == '\t' }

func authenticatesConnection(scheme []byte) bool {
	return bytes.EqualFold(scheme, []byte("NTLM")) || bytes.EqualFold(scheme, []byte("Negotiate"))
}

func (r *Request) hasContent() bool {
	for _, v := range r.Values("Content-Length") {
		if n, ok := parseDecimal(v); !ok || n > 0 {
			return true
		}
	}
	return false
}
