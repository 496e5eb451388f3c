// A request sent to where a redirect has led (RFC 9110 §15.4).

package http1

import (
	"errors"
	"strings"
)

// ErrRedirect: the redirect names no http URL that can be followed.
var ErrRedirect = errors.New("the redirect cannot be followed")

// Redirected returns the request for the URL in location, which may be relative to the request's own. The target
// is in absolute-form. To another host go no credentials: Authorization, Cookie and Proxy-Authorization are
// dropped. Only http leads to http; everything else is ErrRedirect. defaultHost is host[:port] where the request
// itself names none.
func (r *Request) Redirected(location, defaultHost string) (*Request, error) {
	own := splitTarget(r.Target)
	base := r.authority()
	if base == "" {
		base = defaultHost
	}
	if own.form != originForm && own.form != absoluteForm || !isTarget(location) {
		return nil, ErrRedirect
	}
	location, _, _ = strings.Cut(location, "#")
	authority, path := base, ""
	scheme, rest, hasScheme := strings.Cut(location, "://")
	switch {
	case hasScheme && isScheme(scheme):
		if !strings.EqualFold(scheme, "http") {
			return nil, ErrRedirect
		}
		t := splitTarget(scheme + "://" + rest)
		authority, path = t.authority, t.path
	case strings.HasPrefix(location, "//"):
		t := splitTarget("http:" + location)
		authority, path = t.authority, t.path
	case strings.HasPrefix(location, "/"):
		path = location
	case strings.Contains(strings.SplitN(location, "/", 2)[0], ":"):
		return nil, ErrRedirect // another scheme
	default:
		// RFC 3986 §5.2.3: relative to the folder of the present path.
		folder, _, _ := strings.Cut(own.path, "?")
		path = folder[:strings.LastIndexByte(folder, '/')+1] + location
		if strings.HasPrefix(location, "?") {
			path = folder + location
		}
	}
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	if _, _, ok := splitHostPort(authority); !ok {
		return nil, ErrRedirect
	}
	var b strings.Builder
	version := r.head.start[strings.LastIndexByte(r.head.start, ' '):]
	b.WriteString(r.Method + " http://" + authority + path + version + "\r\nHost: " + authority + "\r\n")
	other := !strings.EqualFold(withoutPort80(authority), withoutPort80(base))
	for _, f := range r.Fields {
		if f.Is("Host") || other && (f.Is("Authorization") || f.Is("Cookie") || f.Is("Proxy-Authorization")) {
			continue
		}
		b.WriteString(f.Raw)
	}
	b.WriteString("\r\n")
	request, err := ParseRequest([]byte(b.String()))
	if err != nil {
		return nil, ErrRedirect
	}
	return request, nil
}

// withoutPort80 returns the authority without the port that http has by default.
func withoutPort80(authority string) string {
	return strings.TrimSuffix(strings.TrimSuffix(authority, ":80"), ":")
}
