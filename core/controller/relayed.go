// What package relay has to know of a stream that it serves, and may do to it.
package controller

import (
	"context"

	"github.com/rs/zerolog"

	"midstream/core/channel"
	"midstream/core/delivery"
	"midstream/core/dial"
	"midstream/core/relay"
	"midstream/core/resume"
	"midstream/core/turn"
)

// relayed is a stream as its relay sees it.
type relayed struct{ s *Stream }

var _ relay.Stream = relayed{}

// Relay implements delivery.Stream.
func (s *Stream) Relay(put relay.Put, to resume.Destination, number uint64) *relay.Relay {
	return relay.New(relayed{s}, delivery.UpstreamOf(s, to), put, number)
}

// Turn implements relay.Stream.
func (r relayed) Turn() *turn.Turn { return r.s.turn }

// AwaitClose implements relay.Stream.
func (r relayed) AwaitClose(ctx context.Context) {
	r.s.await(ctx, func() (bool, error) { return r.s.closed, nil })
}

// AwaitAnswers implements relay.Stream.
func (r relayed) AwaitAnswers(ctx context.Context) error {
	return r.s.await(ctx, func() (bool, error) { return len(r.s.exchanges) <= 1, nil })
}

// Gone implements relay.Stream.
func (r relayed) Gone() bool {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	return r.s.closed || r.s.left.Why != 0
}

// GiveBack implements relay.Stream.
func (r relayed) GiveBack(ctx context.Context, conn *dial.Conn, exchange uint64) error {
	_, err := r.s.Switch(ctx, conn, exchange, channel.Handover{Place: channel.AtEnd}, 0)
	return err
}

// CutThrough implements relay.Stream.
func (r relayed) CutThrough(ctx context.Context, conn *dial.Conn, exchange uint64, at, until, chunk int64) error {
	_, err := r.s.Switch(ctx, conn, exchange, channel.Handover{At: at, Until: until, Chunk: chunk}, 0)
	return err
}

// Bound implements relay.Stream.
func (r relayed) Bound() (moves int) {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	r.s.bounded = true
	return r.s.moves
}

// Rejoin implements relay.Stream.
func (r relayed) Rejoin(ctx context.Context, exchange uint64, at int64) (relay.Put, error) {
	return r.s.SwitchToPair(ctx, exchange, channel.Handover{At: at, Former: channel.Spare}, 0)
}

// Adopt implements relay.Stream.
func (r relayed) Adopt(exchange uint64) (all []relay.Later) {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	r.s.bounded = false
	for _, later := range r.s.exchanges {
		switch {
		case later.Number <= exchange:
		case !later.Asked():
			all = append(all, relay.Later{})
		default:
			all = append(all, relay.Later{Method: later.Request.Method, Repeatable: later.Immovable().None()})
		}
	}
	return all
}

// LetMove implements relay.Stream.
func (r relayed) LetMove(moves int) bool {
	s := r.s
	s.await(context.Background(), func() (bool, error) { return s.closed || s.moves != moves || !s.turn.Wanted(), nil })
	s.turn.C <- struct{}{}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.moves != moves {
		s.turn.Give()
		return false
	}
	return true
}

// Log implements relay.Stream.
func (r relayed) Log() *zerolog.Logger { return r.s.Log() }
