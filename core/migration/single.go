// Break before make: for pairs of interfaces of which only one can be up.
package migration

import (
	"context"
	"errors"
	"time"

	"midstream/core/delivery"
	"midstream/core/exchange"
	"midstream/core/twin"
)

// collecting is how long the old connection is kept for more to be compared with the new one's content.
const collecting = 100 * time.Millisecond

// breakBeforeMake closes the old connection first. Until the new one is there the program is held as by a slow network:
// its descriptor has one end of a pair on which nothing comes.
func (m *Mover) breakBeforeMake(ctx context.Context, to string, e *exchange.Exchange) (*delivery.Outcome, error) {
	if err := m.HeadComplete(ctx, e); err != nil {
		return nil, err
	}
	m.s.Asker(e).Collect(ctx, collecting)
	if err := m.s.Park(ctx, e); err != nil {
		return nil, err
	}
	m.parked = true
	// From here on there is no old connection to go back to: the interface it was on is the last resort.
	from := m.s.State().Interface
	done, first := m.takeOver(ctx, to, e)
	if first == nil || errors.Is(first, twin.ErrClosed) {
		return done, first
	}
	if _, err := m.takeOver(ctx, from, e); err != nil {
		m.s.Abandon()
	}
	return nil, first
}
