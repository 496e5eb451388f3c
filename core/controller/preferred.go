// Streams are moved to preferred servers on the interface they are on.
package controller

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"midstream/core/control"
	"midstream/core/guard"
	"midstream/core/lease"
	"midstream/core/manager"
)

// wanted are the servers preferred to the stream's own, when that was last looked at. With its mu.
type wanted struct {
	servers []netip.Prefix
	at      time.Time
}

// pays is how many octets have to be left for a change of the server alone.
const pays = 1 << 20

// preferServers moves streams to preferred servers on the interface they are on, if the network there knows them.
func (c *Controller) preferServers(ctx context.Context) {
	for _, s := range c.all("") {
		n := s.Need()
		dwell := c.config.Policy.Dwell
		if !n.Active || !n.Movable || n.Loopback() || s.Busy() || !n.Moved.IsZero() && time.Since(n.Moved) < dwell {
			continue
		}
		if left := n.Remaining(); left >= 0 && left < pays {
			continue
		}
		servers := c.reach.PreferredServers(n.Interface, n.Host)
		now := s.Place().Server.Addr().Unmap()
		if len(servers) == 0 || servers[0].Contains(now) {
			continue
		}
		s.mu.Lock()
		asked := slices.Equal(servers, s.wanted.servers) && time.Since(s.wanted.at) < max(dwell, 10*time.Second)
		if !asked {
			s.wanted = wanted{servers, time.Now()}
		}
		s.mu.Unlock()
		if !asked {
			guard.Go(func() { s.preferServer(ctx, n, now) })
		}
	}
}

// preferServer moves the stream to the server preferred to its present one, if there is one.
func (s *Stream) preferServer(ctx context.Context, n manager.Stream, now netip.Addr) {
	limited, cancel := lease.With(ctx, s.c.config.Migration.Timeout)
	defer cancel()
	ctx = limited
	best := s.c.reach.Preferred(ctx, s.c.reach.Names(n.Interface), n.Interface, n.Host, now)
	if best == now || !best.IsValid() {
		return
	}
	s.decided.Lock()
	defer s.decided.Unlock()
	if own, at := s.Where(); own != n.Interface || at.Addr().Unmap() != now {
		return
	}
	s.publish(control.EventTrigger, "to move from "+now.String()+" to "+best.String()+": the server is preferred",
		map[string]any{"from": n.Interface, "to": n.Interface, "trigger": manager.TriggerServer, "server": best.String()})
	s.mover.Migrate(ctx, n.Interface, manager.TriggerServer)
}
