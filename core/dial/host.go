// From a name to a connection: the resolver and the race, side by side.

package dial

import (
	"context"
	"errors"
	"net/netip"

	"midstream/core/guard"
	"midstream/core/resolve"
)

// Names looks a name up one address family after the other; *resolve.Resolver does.
type Names interface {
	LookupEach(ctx context.Context, host string, each func(resolve.Answer)) error
}

// Host connects to port of host, an IP literal or a name, as soon as its first
// addresses are known. preferred is tried first if names still gives its
// address. Beside the errors of Race there are those of names.
func Host(ctx context.Context, names Names, host string, port uint16, preferred netip.AddrPort, opts Options) (*Conn, error) {
	lookup, cancel := context.WithCancel(ctx)
	defer cancel()
	batches := make(chan []netip.AddrPort, 2) // as many as LookupEach gives: it never waits for the race
	var unknown error
	done := make(chan struct{})
	go func() {
		defer guard.Recover()
		defer close(done)
		defer close(batches)
		unknown = names.LookupEach(lookup, host, func(a resolve.Answer) {
			batch := make([]netip.AddrPort, len(a.Addrs))
			for i, addr := range a.Addrs {
				batch[i] = netip.AddrPortFrom(addr, port)
			}
			select {
			case batches <- batch:
			case <-lookup.Done():
			}
		})
	}()
	conn, err := Race(ctx, batches, preferred, opts)
	cancel()
	<-done
	var race *RaceError
	if err != nil && unknown != nil && !errors.As(err, &race) {
		err = unknown
	}
	return conn, err
}
