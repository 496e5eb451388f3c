// Probing a path: whether the stream's server can be reached where the stream is.
package controller

import (
	"context"
	"time"

	"midstream/core/dial"
	"midstream/core/guard"
	"midstream/core/silence"
)

// probeAndJudge looks for the server's host over the stream's interface, and has the stream judged anew. With s.mu.
func (s *Stream) probeAndJudge(limit time.Duration) {
	found := s.flow.Probes(time.Now())
	guard.Go(func() {
		v := s.Probe(context.Background(), limit)
		s.mu.Lock()
		found(v)
		s.mu.Unlock()
		s.sample(time.Now())
	})
}

// Probe makes a connection to the server in use, over the interface in use, and ends it without a word.
func (s *Stream) Probe(ctx context.Context, limit time.Duration) silence.Verdict {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	iface, server := s.Where()
	conn, err := dial.Race(ctx, dial.Candidates(server), server, dial.Options{Device: iface})
	if err == nil {
		conn.Close()
	}
	v := silence.VerdictOf(ctx, err)
	s.c.log.Debug().Str("session", s.name()).Str("over", iface).Bool("live", v == silence.Live).Bool("dead", v == silence.Dead).Err(err).Msg("looked for the server")
	return v
}
