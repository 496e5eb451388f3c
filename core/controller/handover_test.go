// Answers to armings that nobody waits for any more.
package controller

import (
	"context"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/rs/zerolog"

	"midstream/core/channel"
	"midstream/core/config"
	"midstream/core/digest"
	"midstream/core/exchange"
	"midstream/core/netif"
	"midstream/core/netmon"
	"midstream/core/reason"
	"midstream/core/relay"
)

// silent is a channel to a shim that does not answer by itself.
type silent struct{ sent []channel.Message }

func (c *silent) Receive() (channel.Message, error) { select {} }

func (c *silent) Send(m channel.Message, fd int) error {
	c.sent = append(c.sent, m)
	return nil
}

// counters is a shim with one stream.
type counters struct {
	channel.Snapshot
	gone      bool
	calledOff uint64
	looks     atomic.Bool
}

func (c *counters) Read(uint32, uint64) (channel.Snapshot, bool)   { return c.Snapshot, !c.gone }
func (c *counters) Quiet(uint32, uint64) (uint64, bool)            { return 0, false }
func (c *counters) ByIssuer(bool)                                  {}
func (c *counters) Looks(on bool)                                  { c.looks.Store(on) }
func (c *counters) Guard(uint32, uint64, channel.Guard)            {}
func (c *counters) Keep(uint32, uint64, bool)                      {}
func (c *counters) Tail(uint32, uint64, uint64, int64, int) []byte { return nil }
func (c *counters) Digest(uint32, uint64, uint64) (int64, digest.Digest, bool) {
	return 0, digest.Digest{}, false
}
func (c *counters) CallOff(_ uint32, _, arming uint64) { c.calledOff = arming }
func (c *counters) End()                               {}
func (c *counters) ControlPath(string)                 {}

func TestALateAnswerIsNotTakenForTheNextArmings(t *testing.T) {
	pair, err := relay.NewPair(syscall.AF_INET)
	if err != nil {
		t.Fatal(err)
	}
	defer pair.Close()
	synctest.Test(t, func(t *testing.T) {
		ch, shim := &silent{}, &counters{}
		s := newStream(New(ch, shim, 1, config.Default(), nil, zerolog.Nop()), channel.Message{}, channel.Opening{})
		called, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.arm(pair.Program, 1, channel.Handover{When: channel.Now}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.awaitReply(called, 0); err == nil {
			t.Fatal("an arming that was called off and never answered has succeeded")
		}
		first := ch.sent[0].Arming
		if first == 0 || shim.calledOff != first {
			t.Errorf("arming %d, called off up to %d", first, shim.calledOff)
		}
		if err := s.arm(pair.Program, 1, channel.Handover{When: channel.Now}); err != nil {
			t.Fatal(err)
		}
		second := ch.sent[len(ch.sent)-1].Arming
		s.handle(channel.Message{Kind: channel.Moved, Exchange: 1, Arming: first, Data: make([]byte, 64)})
		s.handle(channel.Message{Kind: channel.Unmoved, Exchange: 1, Arming: second, Data: reason.Reason{Why: reason.Farther}.Encode()})
		if _, err := s.awaitReply(t.Context(), 0); err == nil || err.Error() != "the program has come farther" {
			t.Errorf("got %v", err)
		}
	})
}

func TestAnIdleStreamIsLeftLaterWhereARecoveryWasInTheWay(t *testing.T) {
	s := newStream(New(&silent{}, &counters{}, 1, config.Default(), nil, zerolog.Nop()), channel.Message{}, channel.Opening{})
	last := exchange.New(1, false, "", counted{s})
	last.End(0)
	s.iface, s.last, s.recovering = "eth7", last, true
	s.c.networks.Use(netmon.Of([]netif.Interface{{Name: "eth7", Index: 7}}, nil)) // it is down
	s.lookAtPath()
	if s.leaving {
		t.Error("nobody leaves it, but it counts as being left")
	}
}
