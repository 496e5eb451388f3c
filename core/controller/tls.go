// Streams that carry TLS: what is known of the program's session.
package controller

import (
	"context"
	"net"
	"net/url"
	"strconv"

	"midstream/core/channel"
	"midstream/core/config"
	"midstream/core/control"
	"midstream/core/dial"
	"midstream/core/relay"
)

// tlsSession is the program's TLS session, as the shim has found it when the first request was sent.
type tlsSession struct {
	library, version, alpn string
	name                   string // the server's, as sent by SNI
	tunnel                 string // host:port that the program's proxy was asked to connect to, "" if none
	movable                bool   // the library can make another one like it
	needs                  channel.Needs
}

func parseTLSSession(m channel.Message) *tlsSession {
	texts := channel.Texts(m.Data, 5)
	return &tlsSession{
		library: texts[0], version: texts[1], alpn: texts[2], name: texts[3], tunnel: texts[4],
		needs: channel.Needs(m.B), movable: m.A != 0,
	}
}

// needed says which servers the session can be continued with, "" if any whose certificate verifies for its name will do.
func (c *Controller) needed(t *tlsSession) string {
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

// tunnelPort returns the port that the program's proxy connects to.
func (t *tlsSession) tunnelPort() (uint16, bool) {
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
func (t *tlsSession) url(port uint16) string {
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

func (t *tlsSession) describe() *control.TLS {
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
	t, err := s.twins.Make(ctx, conn)
	if err != nil {
		conn.Reset()
		return nil, err
	}
	s.c.log.Debug().Str("session", s.name()).Str("version", t.Version).Str("judged", t.Judged).Msg("TLS with a new server")
	conn.Lay(t)
	return conn, nil
}

// showQuestion has the program read, if it sleeps: its own function has to judge a new server, in a call that reads. With s.mu.
func (s *Stream) showQuestion() {
	s.c.send(s.message(channel.TwinShow), -1)
	s.nudge()
}

// nudge wakes a program that waits on a quiet pair: over TLS nothing else ever comes on one. With s.mu.
func (s *Stream) nudge() {
	for _, pair := range []*relay.Pair{s.parked, s.pair} {
		if pair != nil {
			pair.Core.Write([]byte{0})
		}
	}
}
