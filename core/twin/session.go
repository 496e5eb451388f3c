// What is known of the program's own session.
package twin

import (
	"net"
	"net/url"
	"strconv"

	"midstream/core/channel"
	"midstream/core/reason"
)

// Session is the program's TLS session, as the shim has found it when the first request was sent.
type Session struct {
	Library, Version, ALPN string
	Name                   string // the server's, as sent by SNI
	Tunnel                 string // host:port that the program's proxy was asked to connect to, "" if none
	Movable                bool   // the library can make another one like it
	Clear                  bool   // its octets can be brought by a pair on the program's descriptor
	Needs                  channel.Needs
}

// ParseSession takes the message that tells of it (channel.TLS).
func ParseSession(m channel.Message) *Session {
	texts := channel.Texts(m.Data, 5)
	return &Session{
		Library: texts[0], Version: texts[1], ALPN: texts[2], Name: texts[3], Tunnel: texts[4],
		Needs: channel.Needs(m.B), Movable: m.A != 0, Clear: m.Flags&channel.Clear != 0,
	}
}

// OfOne says why several connections cannot feed the session, if they cannot.
func (t *Session) OfOne() reason.Reason {
	if t != nil && !t.Clear {
		return reason.CarriesTLS.Alone()
	}
	return reason.Reason{}
}

// Needed says which servers the session can be continued with, "" if any whose certificate verifies for its name will do. byIssuer: one whose
// certificate the same issuer has made is the same (tls.identity).
func (t *Session) Needed(byIssuer bool) string {
	switch {
	case t == nil:
		return ""
	case t.Needs == channel.NeedsKeyUnverified && byIssuer:
		return "a server with the same public key, or a certificate of the same issuer: " + unverified
	}
	return needed[t.Needs]
}

const unverified = "the program does not have certificates verified by its library"

var needed = map[channel.Needs]string{
	channel.NeedsCertExamined:  "a server with the same certificate: the program looks at certificates itself",
	channel.NeedsKeyExamined:   "a server with the same public key: the program looks at certificates itself",
	channel.NeedsKeyJudged:     "a server with the same public key: the program verifies certificates itself, while it shakes hands",
	channel.NeedsJudgement:     "a server whose certificate the program's own verification takes",
	channel.NeedsKeyUnverified: "a server with the same public key: " + unverified,
}

// tunnelPort returns the port that the program's proxy connects to.
func (t *Session) tunnelPort() (uint16, bool) {
	if t == nil || t.Tunnel == "" {
		return 0, false
	}
	_, text, err := net.SplitHostPort(t.Tunnel)
	if err != nil {
		return 0, false
	}
	port, err := strconv.ParseUint(text, 10, 16)
	return uint16(port), err == nil && port > 0
}

// URL is what is known of a URL where no request can be seen, "" if nothing is.
func (t *Session) URL(port uint16) string {
	if t == nil || t.Name == "" {
		return ""
	}
	if through, ok := t.tunnelPort(); ok {
		port = through
	}
	host := t.Name
	if port != 443 {
		host = net.JoinHostPort(host, strconv.Itoa(int(port)))
	}
	return (&url.URL{Scheme: "https", Host: host, Path: "/"}).String()
}
