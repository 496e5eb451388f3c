// Leave to ask a server about one of the stream's exchanges.
package controller

import (
	"context"

	"midstream/core/budget"
	"midstream/core/dial"
	"midstream/core/exchange"
)

// Permit takes one request to the connection's server out of the exchange's budget.
func (s *Stream) Permit(ctx context.Context, e *exchange.Exchange, iface string, conn *dial.Conn) (budget.Permit, error) {
	return e.Permit(ctx, iface, conn, s.inNeed.Load())
}

// repeats takes the repetition of the request that the stream is waiting with, which has not been answered, out of its budget.
func (s *Stream) repeats(to budget.Place) bool {
	s.mu.Lock()
	e := s.current()
	s.mu.Unlock()
	return e != nil && e.Repeats(to)
}
