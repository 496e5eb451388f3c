// How much of an exchange the program has been handed, while its counters are on their way to another one's.
package controller

import (
	"testing"
	"time"

	"github.com/rs/zerolog"

	"midstream/core/channel"
	"midstream/core/config"
	"midstream/core/resume"
)

// counters is a shim with one stream.
type counters struct {
	channel.Snapshot
	gone      bool
	calledOff uint64
}

func (c *counters) Read(uint32, uint64) (channel.Snapshot, bool)   { return c.Snapshot, !c.gone }
func (c *counters) Quiet(uint32, uint64) (uint64, bool)            { return 0, false }
func (c *counters) ByIssuer(bool)                                  {}
func (c *counters) Looks(bool)                                     {}
func (c *counters) Guard(uint32, uint64, bool)                     {}
func (c *counters) Keep(uint32, uint64, bool)                      {}
func (c *counters) Tail(uint32, uint64, uint64, int64, int) []byte { return nil }
func (c *counters) CallOff(_ uint32, _, arming uint64)             { c.calledOff = arming }
func (c *counters) End()                                           {}
func (c *counters) ControlPath(string)                             {}

func TestWhatHasBeenReceivedNeverFalls(t *testing.T) {
	shim := &counters{}
	s := newStream(New(nil, shim, 1, config.Default(), nil, zerolog.Nop()), channel.Message{}, channel.Opening{})
	e := &exchange{number: 1, Exchange: resume.Exchange{Last: -1}}
	shim.Snapshot = channel.Snapshot{Exchange: 1, Received: 5000}
	if got := s.received(e); got != 5000 {
		t.Errorf("received %d", got)
	}
	// The program has begun to read the next response, and the message that this one is done has not come yet.
	shim.Snapshot = channel.Snapshot{Exchange: 2, Received: 70}
	if got := s.received(e); got != 5000 {
		t.Errorf("received %d once the next response is being read", got)
	}
	shim.gone = true
	if got := s.received(e); got != 5000 {
		t.Errorf("received %d once the stream is closed", got)
	}
	s.exchanges = []*exchange{e}
	s.done(channel.Message{Exchange: 1, A: 6000})
	if got := s.received(e); got != 6000 || !e.done {
		t.Errorf("received %d once it is done", got)
	}
}

func TestARateIsNeverNegative(t *testing.T) {
	e := &resume.Exchange{Begun: time.Now()}
	if got := e.Rate(0, -5000, time.Second); got != 0 {
		t.Errorf("%v octets a second", got)
	}
}
