// Break before make: for pairs of interfaces of which only one can be up.
package controller

import (
	"context"
	"errors"
	"syscall"
	"time"

	"midstream/core/channel"
	"midstream/core/delivery"
	"midstream/core/exchange"
)

// collecting is how long the old connection is kept for more to be compared with the new one's content.
const collecting = 100 * time.Millisecond

// breakBeforeMake closes the old connection first. Until the new one is there the program is held as by a slow network:
// its descriptor has one end of a pair on which nothing comes.
func (s *Stream) breakBeforeMake(ctx context.Context, to string, e *exchange.Exchange) (*delivery.Outcome, error) {
	if err := s.headComplete(ctx, e); err != nil {
		return nil, err
	}
	s.Asker(e).Collect(ctx, collecting)
	if err := s.park(ctx, e); err != nil {
		return nil, err
	}
	// From here on there is no old connection to go back to: the interface it was on is the last resort.
	s.mu.Lock()
	from := s.iface
	s.mu.Unlock()
	done, first := s.takeOver(ctx, to, e)
	if first == nil || errors.Is(first, errClosed) {
		return done, first
	}
	if _, err := s.takeOver(ctx, from, e); err != nil {
		s.giveUp(int64(syscall.ECONNRESET)) // an orderly end might pass for that of the content
		s.mu.Lock()
		if s.pair != nil {
			s.pair.Reset()
			s.pair = nil
		}
		s.mu.Unlock()
	}
	return nil, first
}

// park puts one end of a quiet pair on the descriptor; the other end is kept open until the stream moves on.
func (s *Stream) park(ctx context.Context, e *exchange.Exchange) error {
	pair, _, err := s.placePair(ctx, e.Number, channel.Handover{When: channel.Now}, 0)
	if err != nil {
		return err
	}
	s.mu.Lock()
	old := s.pair
	s.pair = pair
	s.mu.Unlock()
	if old != nil {
		old.Core.Close()
	}
	return nil
}

// giveUp lets the program see how its connection ended: errno, or 0 for an end of file.
func (s *Stream) giveUp(errno int64) {
	m := s.message(channel.GiveUp)
	m.A = errno
	s.c.send(m, -1)
}
