// Streams that carry TLS: a twin of the program's session lies over a new connection.
package controller

import (
	"context"

	"midstream/core/channel"
	"midstream/core/control"
	"midstream/core/dial"
	"midstream/core/relay"
	"midstream/core/resume"
	"midstream/core/twin"
)

// describeTLS says what is shown of the program's TLS session, nil where it has none.
func describeTLS(t *twin.Session) *control.TLS {
	if t == nil {
		return nil
	}
	return &control.TLS{Library: t.Library, Version: t.Version, ALPN: t.ALPN}
}

// secure lays a twin of the program's TLS session over a connection to there, if the stream carries TLS. The connection is closed
// after an error.
func (s *Stream) secure(ctx context.Context, conn *dial.Conn, to resume.Destination) (*dial.Conn, error) {
	s.mu.Lock()
	carries := s.tls != nil
	s.mu.Unlock()
	if !carries {
		return conn, nil
	}
	t, err := s.twins.Make(ctx, conn, to.Name)
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
