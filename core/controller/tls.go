// Streams that carry TLS: what is known of the program's session.
package controller

import (
	"bytes"
	"context"
	"net"
	"net/url"
	"strconv"

	"midstream/core/channel"
	"midstream/core/config"
	"midstream/core/control"
	"midstream/core/dial"
)

// session is the program's TLS session, as the shim has found it when the first request was sent.
type session struct {
	library, version, alpn string
	name                   string // the server's, as sent by SNI
	tunnel                 string // host:port that the program's proxy was asked to connect to, "" if none
	movable                bool   // the library can make another one like it
	needs                  channel.Needs
}

func parseSession(m channel.Message) *session {
	texts := texts(m.Data, 5)
	return &session{
		library: texts[0], version: texts[1], alpn: texts[2], name: texts[3], tunnel: texts[4],
		needs: channel.Needs(m.B), movable: m.A != 0,
	}
}

// needed says which servers the session can be continued with, "" if any whose certificate verifies for its name will do.
func (c *Controller) needed(t *session) string {
	switch {
	case t == nil:
		return ""
	case t.needs == channel.NeedsKeyUnverified && c.config.TLS.Identity == config.IdentityIssuer:
		return "a server with the same public key, or a certificate of the same issuer: " + unverified
	}
	return needed[t.needs]
}

const unverified = "the program does not have certificates verified by its library"

var needed = map[channel.Needs]string{
	channel.NeedsCertExamined:  "a server with the same certificate: the program looks at certificates itself",
	channel.NeedsKeyExamined:   "a server with the same public key: the program looks at certificates itself",
	channel.NeedsKeyJudged:     "a server with the same public key: the program verifies certificates itself, while it shakes hands",
	channel.NeedsJudgement:     "a server whose certificate the program's own verification takes",
	channel.NeedsKeyUnverified: "a server with the same public key: " + unverified,
}

// texts splits data into n texts that NULs end; those that are missing are empty.
func texts(data []byte, n int) []string {
	list := make([]string, n)
	for i := range list {
		text, rest, _ := bytes.Cut(data, []byte{0})
		list[i], data = string(text), rest
	}
	return list
}

// tunnelPort returns the port that the program's proxy connects to.
func (t *session) tunnelPort() (uint16, bool) {
	if t == nil || t.tunnel == "" {
		return 0, false
	}
	_, text, err := net.SplitHostPort(t.tunnel)
	if err != nil {
		return 0, false
	}
	port, err := strconv.ParseUint(text, 10, 16)
	return uint16(port), err == nil && port > 0
}

// url is what is known of a URL where no request can be seen, "" if nothing is.
func (t *session) url(port uint16) string {
	if t == nil || t.name == "" {
		return ""
	}
	if through, ok := t.tunnelPort(); ok {
		port = through
	}
	host := t.name
	if port != 443 {
		host = net.JoinHostPort(host, strconv.Itoa(int(port)))
	}
	return (&url.URL{Scheme: "https", Host: host, Path: "/"}).String()
}

func (t *session) describe() *control.TLS {
	if t == nil {
		return nil
	}
	return &control.TLS{Library: t.library, Version: t.version, ALPN: t.alpn}
}

// secure lays a twin of the program's TLS session over a connection, if the stream carries TLS. The connection is closed
// after an error.
func (s *Stream) secure(ctx context.Context, conn *dial.Conn) (*dial.Conn, error) {
	s.mu.Lock()
	carries := s.tls != nil
	s.mu.Unlock()
	if !carries {
		return conn, nil
	}
	t, err := s.newTwin(ctx, conn)
	if err != nil {
		conn.Reset()
		return nil, err
	}
	conn.Lay(t)
	return conn, nil
}
