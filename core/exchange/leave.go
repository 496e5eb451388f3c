// Leave to ask servers about an exchange, and what they have said: over which interface it could not be continued.
package exchange

import (
	"context"
	"time"

	"midstream/core/budget"
	"midstream/core/dial"
)

// Permit takes one request to the connection's server out of the budget. inNeed: the exchange's connection has failed.
func (e *Exchange) Permit(ctx context.Context, iface string, conn *dial.Conn, inNeed bool) (budget.Permit, error) {
	return e.Budget.Permit(ctx, budget.PlaceOf(iface, conn), inNeed, e.Received)
}

// Repeats takes the repetition of a request that has not been answered out of the budget.
func (e *Exchange) Repeats(to budget.Place) bool {
	return e.Budget.Repeat() == nil && e.Budget.Ask(to, e.Received()) == nil
}

// refused is why an exchange could not be continued over an interface, and when that was found.
type refused struct {
	why string
	at  time.Time
}

// refusedFor is how long a refusal is held against an interface: a captive portal, for one, may be opened.
const refusedFor = time.Minute

// RefuseOver notes why it could not be continued over the interface.
func (e *Exchange) RefuseOver(iface, why string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.refused == nil {
		e.refused = map[string]refused{}
	}
	e.refused[iface] = refused{why, time.Now()}
}

// RefusedOver says over which interfaces it could not be continued lately, and why; nil where over none ever was tried in vain.
func (e *Exchange) RefusedOver() (not map[string]string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for iface, r := range e.refused {
		if not == nil {
			not = map[string]string{}
		}
		if time.Since(r.at) < refusedFor {
			not[iface] = r.why
		}
	}
	return not
}
