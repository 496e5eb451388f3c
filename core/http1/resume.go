// The cached request once more, for what is still to come of its answer.

package http1

import "strings"

// FormKind says which form the request target takes on the new connection (RFC 9112 §3.2).
type FormKind int

const (
	// AsIs: the request line and all fields stay as the program sent them.
	AsIs FormKind = iota
	// OriginForm: to the server itself. Fields named Proxy-* are dropped; an
	// absolute-form target loses scheme and authority, which become the Host field.
	OriginForm
	// AbsoluteForm: to a proxy. Fields named Proxy-* are dropped, as they were meant
	// for another one; an origin-form target is completed to http://host[:port]/….
	AbsoluteForm
)

// Form says how a repeated request is addressed. The zero value is as the program sent it.
type Form struct {
	Kind FormKind
	// Host is host[:port] as in a URL, for AbsoluteForm where the request itself
	// names no valid host (HTTP/1.0).
	Host string
	// ProxyAuthorization is the value of that field for AbsoluteForm; "" for none.
	ProxyAuthorization string
	// First: the request has not been sent before, so that it may go on offering another protocol (RFC 9110 §7.8).
	First bool
	// Lasting: the connection is to last beyond the answer, whatever the program wanted of its own (RFC 9112 §9.3, §9.6).
	Lasting bool
}

// ResumeRequest returns the head of req with Range for the octets first to last
// (inclusive; last is -1 for "to the end") and, unless ifRange is "", with If-Range.
// They stand where the program's own Range and If-Range stood, else at the end of
// the head; all other octets are the program's, but for what form changes and, in
// a repetition, the offer of another protocol, which is left out: its answer would be
// no continuation.
//
// With first < 0 it is the plain repetition: the program's own Range and If-Range
// stay, last and ifRange are ignored.
//
// It returns nil where no such request exists: the target has not the form that
// Movable demands, AbsoluteForm finds no host, last is before first, or a value
// given holds a CR, LF or NUL.
func ResumeRequest(req *Request, first, last int64, ifRange string, form Form) []byte {
	if !validValue(ifRange) || !validValue(form.ProxyAuthorization) || first >= 0 && last >= 0 && last < first {
		return nil
	}
	w := headWriter{eol: "\n"}
	if strings.HasSuffix(req.head.startRaw, "\r\n") {
		w.eol = "\r\n"
	}
	line, host, ok := req.startLine(form)
	if !ok {
		return nil
	}
	w.out = make([]byte, 0, len(line)+len(req.Fields)*48+128)
	if line == "" {
		w.raw(req.head.startRaw)
	} else {
		w.raw(line + w.eol)
	}
	if host != "" && !req.Has("Host") {
		w.field("Host", host) // first, as RFC 9110 §7.2 recommends
	}

	// What remains to be written: each is cleared at its first place.
	rangeValue := ""
	if first >= 0 {
		rangeValue = Range{First: first, Last: last}.String()
	} else {
		ifRange = ""
	}
	proxyAuthorization := ""
	if form.Kind == AbsoluteForm {
		proxyAuthorization = form.ProxyAuthorization
	}
	ownIfRange := req.Has("If-Range")

	repeated := !form.First && req.offersUpgrade()
	wanted := form.Lasting && req.Minor == 0 // by a field: HTTP/1.0 ends connections otherwise

	for _, f := range req.Fields {
		switch {
		case repeated && isUpgradeOffer(f.Name):
		case f.Is("Connection"):
			value := f.Value
			if repeated {
				value = without(value, isUpgradeOffer)
			}
			if form.Lasting {
				value = without(value, isClose)
				wanted = wanted && !req.HasToken("Connection", "keep-alive")
			}
			if value == f.Value {
				w.raw(f.Raw)
			} else if value != "" {
				w.field(f.Name, value)
			}
		case first >= 0 && f.Is("Range"):
			w.fieldOnce("Range", &rangeValue)
			if !ownIfRange {
				w.fieldOnce("If-Range", &ifRange)
			}
		case first >= 0 && f.Is("If-Range"):
			w.fieldOnce("If-Range", &ifRange)
		case form.Kind != AsIs && hasPrefixFold(f.Name, "Proxy-"):
			if f.Is("Proxy-Authorization") {
				w.fieldOnce("Proxy-Authorization", &proxyAuthorization)
			}
		case host != "" && f.Is("Host") && f.Value != host:
			w.field(f.Name, host)
		default:
			w.raw(f.Raw)
		}
	}
	w.fieldOnce("Proxy-Authorization", &proxyAuthorization)
	w.fieldOnce("Range", &rangeValue)
	w.fieldOnce("If-Range", &ifRange)
	if wanted {
		w.field("Connection", "keep-alive")
	}
	w.raw(req.head.end)
	return w.out
}

// startLine returns the request line in that form, "" where it stays as sent, and
// the Host field's value where the form demands one.
func (r *Request) startLine(form Form) (line, host string, ok bool) {
	if form.Kind == AsIs {
		return "", "", true
	}
	t := splitTarget(r.Target)
	var target string
	switch {
	case t.form != originForm && t.form != absoluteForm:
		return "", "", false
	case form.Kind == OriginForm && t.form == absoluteForm:
		if _, _, ok := splitHostPort(t.authority); !ok {
			return "", "", false
		}
		host, target = t.authority, t.path
		if !strings.HasPrefix(target, "/") {
			target = "/" + target
		}
	case form.Kind == AbsoluteForm && t.form == originForm:
		authority := r.authority()
		if _, _, ok := splitHostPort(authority); !ok {
			authority = form.Host
		}
		if _, _, ok := splitHostPort(authority); !ok {
			return "", "", false
		}
		target = "http://" + authority + t.path
	default:
		return "", "", true
	}
	version := r.head.start[strings.LastIndexByte(r.head.start, ' '):]
	return r.Method + " " + target + version, host, true
}

// headWriter appends lines with the line end that the program uses.
type headWriter struct {
	out []byte
	eol string
}

func (w *headWriter) raw(s string) { w.out = append(w.out, s...) }

func (w *headWriter) field(name, value string) { w.raw(name + ": " + value + w.eol) }

// fieldOnce writes the field unless its value is "", and clears the value.
func (w *headWriter) fieldOnce(name string, value *string) {
	if *value != "" {
		w.field(name, *value)
		*value = ""
	}
}

// without returns the value of a Connection field without the members that are one of those, "" where nothing is left.
func without(connection string, those func(member string) bool) string {
	var stay []string
	for member := range strings.SplitSeq(connection, ",") {
		if member = trimOWS(member); member != "" && !those(member) {
			stay = append(stay, member)
		}
	}
	return strings.Join(stay, ", ")
}

func isClose(member string) bool { return strings.EqualFold(member, "close") }

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}
