// Proving in advance: on a new connection, 64 kB take three round trips of slow start (RFC 5681 §3.1), in which the program would be handed
// nothing. While its own server delivers, they cost nobody time.
package ftp

import (
	"bytes"
	"context"
	"io"
	"time"

	"midstream/core/dial"
	"midstream/core/reason"
	"midstream/core/refusal"
	"midstream/core/resume"
	"midstream/core/standby"
)

// proveFor bounds for how long a server may be about it.
const proveFor = 3 * time.Second

var _ standby.Prover = (*session)(nil)

// Prove implements standby.Prover: it compares the last 64 kB that the program has received, as far as they are kept, with what the server
// has there, breaks that transfer off, and opens another data connection. From then on a small overlap does, while the server's SIZE and MDTM
// stay what they are. A server that does not come through it is spared it from then on.
func (s *session) Prove(ctx context.Context, data *dial.Conn, of resume.Receiver) (*dial.Conn, error) {
	at := of.Received()
	had := of.Tail(at, resume.OverlapFull)
	defer clear(had)
	if s.refused != nil || s.date == "" || s.same(s.of.Date) != nil || len(had) < resume.OverlapFull/4 || s.spared() {
		return data, nil
	}
	ctx, cancel := context.WithTimeout(ctx, proveFor)
	defer cancel()
	same, err := s.compare(ctx, data, s.of.First+at-int64(len(had)), had)
	data.Stand(nil) // the session outlives it
	data.Reset()
	if err == nil {
		data, err = s.again(ctx)
	}
	if err != nil {
		s.spare()
		s.conn.Reset()
		return nil, err
	}
	if !same {
		s.refused = &refusal.Refusal{Why: reason.OctetsDiffer.Alone(), Server: true}
		return data, nil
	}
	s.proved = true
	return data, nil
}

// compare reports whether these octets are what the server has from there on.
func (s *session) compare(ctx context.Context, data *dial.Conn, from int64, had []byte) (bool, error) {
	defer bound(ctx, s.conn)()
	defer bound(ctx, data)()
	if err := s.retrieve(ctx, s.of, from); err != nil {
		return false, err
	}
	octets := make([]byte, len(had))
	defer clear(octets)
	_, err := io.ReadFull(data, octets)
	return bytes.Equal(octets, had), err
}

// again has another data connection, once the server has had the last word on a transfer that has been broken off: 426, or 226 where all
// had been sent already.
func (s *session) again(ctx context.Context) (*dial.Conn, error) {
	defer bound(ctx, s.conn)()
	last, err := s.reply(false)
	if err != nil {
		return nil, err
	}
	if last.code/100 != 2 && last.code/100 != 4 || last.code == 421 {
		return nil, replied(last, "RETR")
	}
	var port uint16
	passive := s.passive(s.of, &port)
	if _, err := s.conn.Write([]byte(passive.line + "\r\n")); err != nil {
		return nil, err
	}
	r, err := s.reply(false)
	if err != nil {
		return nil, err
	}
	if err := passive.take(r); err != nil {
		return nil, err
	}
	return s.open(ctx, port)
}

func (s *session) spared() bool {
	s.by.mu.Lock()
	defer s.by.mu.Unlock()
	return s.by.spared[s.Remote()]
}

func (s *session) spare() {
	s.by.mu.Lock()
	defer s.by.mu.Unlock()
	s.by.spared[s.Remote()] = true
}
