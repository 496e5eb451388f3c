// What package relay has to know of a stream that it serves, and may do to it.
package controller

import (
	"context"
	"fmt"

	"github.com/rs/zerolog"

	"midstream/core/budget"
	"midstream/core/channel"
	"midstream/core/dial"
	"midstream/core/http1"
	"midstream/core/relay"
	"midstream/core/resume"
	"midstream/core/turn"
	"midstream/core/twin"
)

// relayed is a stream as its relay sees it.
type relayed struct{ s *Stream }

var _ relay.Stream = relayed{}

// Relay implements delivery.Stream.
func (s *Stream) Relay(put relay.Put, to resume.Destination, number uint64) *relay.Relay {
	return relay.New(relayed{s}, upstream{s, to}, put, number)
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
func (r relayed) Log() *zerolog.Logger {
	log := r.s.c.log.With().Str("session", r.s.name()).Logger()
	return &log
}

// upstream is where the requests of a relayed stream go.
type upstream struct {
	s  *Stream
	to resume.Destination
}

var _ relay.Upstream = upstream{}

// Untouched implements relay.Upstream.
func (u upstream) Untouched() bool { return u.to.Untouched() }

// Open implements relay.Upstream.
func (u upstream) Open() (*dial.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), u.s.c.config.Migration.Timeout)
	defer cancel()
	return twin.Flow(u.s.Open(ctx, u.to))
}

// MayRepeat implements relay.Upstream.
func (u upstream) MayRepeat(conn *dial.Conn) bool {
	return u.s.repeats(budget.PlaceOf(u.to.Interface, conn))
}

// For implements relay.Upstream.
func (u upstream) For(request *http1.Request) (relay.Upstream, bool, error) {
	to, err := u.s.Destination(u.to.Interface, request)
	if err != nil {
		return nil, false, err
	}
	return upstream{u.s, to}, to.Same(u.to), nil
}

// Rewrite implements relay.Upstream.
func (u upstream) Rewrite(request *http1.Request) ([]byte, error) {
	form := u.to.Form
	form.First = true
	rewritten := http1.ResumeRequest(request, -1, -1, "", form)
	if rewritten == nil {
		return nil, fmt.Errorf("the request cannot be written for %s", u.to.Host)
	}
	return rewritten, nil
}
