// How often a process is woken in which nothing moves.
package controller

import (
	"net/netip"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"midstream/core/channel"
	"midstream/core/config"
	"midstream/core/exchange"
	"midstream/core/silence"
)

// A download whose program does not read is looked at when the program goes on, and nothing is suspected meanwhile.
func TestAProgramThatDoesNotReadIsToldOfWhenItDoes(t *testing.T) {
	shim := &counters{}
	c := New(nil, shim, 1, config.Default(), nil, zerolog.Nop())
	s := newStream(c, channel.Message{Stream: 1}, channel.Opening{Peer: netip.MustParseAddrPort("192.0.2.1:80")})
	e := exchange.New(1, false, config.ProofTrust, counted{s})
	e.AddRequest([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), true)
	e.AddAnswer([]byte("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"))
	e.EndHead(channel.PhaseLength, 1000)
	shim.Snapshot = channel.Snapshot{Exchange: 1, Received: 5000}
	s.exchanges, s.guarded, s.flow.Standby = []*exchange.Exchange{e}, true, true
	now := time.Now()
	if on, next := s.sample(now); !on || next != silence.Tick {
		t.Fatalf("%v, %v", on, next)
	}
	s.flow.Standby = true // none is to be made here
	s.flow.Hears(now)
	s.flow.Unread = true
	now = now.Add(time.Minute)
	if on, next := s.sample(now); !on || next != silence.LongestLook || s.flow.Probing {
		t.Fatalf("%v, %v", on, next)
	}
	s.handle(channel.Message{Kind: channel.Stirs, Stream: 1})
	if !shim.looks.Load() {
		t.Error("nobody looks at it again")
	}
	shim.Received++
	if on, next := s.sample(now); !on || next != silence.Tick || s.flow.Unread {
		t.Errorf("%v, %v", on, next)
	}
}
