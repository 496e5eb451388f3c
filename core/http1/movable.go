// Which requests may be sent a second time, on another connection, for the rest of their answer.

package http1

import (
	"bytes"
	"strings"

	"midstream/core/reason"
)

// Movable reports whether the request can be repeated elsewhere for the rest of
// its content; why says why it cannot. The response has its own
// conditions beside these, and see AwaitsUpgrade.
func (r *Request) Movable() (ok bool, why reason.Reason) {
	why = r.immovable()
	return why.None(), why
}

func (r *Request) immovable() reason.Reason {
	switch {
	case r.Method == "HEAD":
		return reason.Head.Alone()
	case r.Method != "GET":
		return reason.NotGet.Alone()
	case r.Has("Expect"):
		return reason.Expect.Alone()
	case r.Has("Transfer-Encoding"), r.hasContent():
		return reason.RequestContent.Alone()
	}
	if _, _, err := r.Range(); err == ErrSeveralRanges {
		return reason.SeveralRanges.Alone()
	}
	if field := TimeRange(r.Fields); field != "" {
		return reason.TimeRange.With(field)
	}
	if scheme := r.connectionScheme(); scheme != "" {
		return reason.AuthScheme.With(scheme)
	}
	if len(r.Values("Host")) > 1 {
		return reason.SeveralHosts.Alone()
	}
	t := splitTarget(r.Target)
	switch {
	case t.form == originForm:
	case t.form != absoluteForm:
		return reason.Target.Alone()
	case !strings.EqualFold(t.scheme, "http") && !strings.EqualFold(t.scheme, "https"):
		return reason.TargetScheme.Alone()
	default:
		if host, _ := r.Host(); host == "" {
			return reason.TargetHost.Alone()
		}
	}
	return reason.Reason{}
}

// TimeRange returns the name of a field that counts in play time, "" if there is none: the server makes what it sends for that then, and
// nobody has said that it comes out the same again (DLNA's guidelines, part 1, 7.5.4.3.2.24; npt is RFC 7826 §4.4.2).
func TimeRange(fields []Field) string {
	for _, f := range fields {
		if f.Is("TimeSeekRange.dlna.org") || f.Is("PlaySpeed.dlna.org") {
			return f.Name
		}
		if unit, _, _ := strings.Cut(f.Value, "="); f.Is("Range") && strings.EqualFold(strings.TrimSpace(unit), "npt") {
			return "Range: npt"
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
