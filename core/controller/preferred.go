// Which of a name's addresses is tried first.
package controller

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"

	"midstream/core/control"
	"midstream/core/dial"
	"midstream/core/guard"
	"midstream/core/lease"
	"midstream/core/manager"
	"midstream/core/policy"
	"midstream/core/resolve"
)

// preferred returns the address of the host to try first over the interface, if the network there knows it: what the
// policy prefers, then what a hint does, then the one in use. The look-up is shared with the one that follows.
func (c *Controller) preferred(ctx context.Context, names dial.Names, iface, host string, now netip.Addr) netip.Addr {
	wanted := c.preferredServers(iface, host)
	if len(wanted) == 0 {
		return now
	}
	best, place := now, len(wanted)
	names.LookupEach(ctx, host, func(a resolve.Answer) {
		for _, addr := range a.Addrs {
			for i, prefix := range wanted[:place] {
				if prefix.Contains(addr) {
					best, place = addr, i
					break
				}
			}
		}
	})
	return best
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
		wanted := c.preferredServers(n.Interface, n.Host)
		now := s.place().Addr().Unmap()
		if len(wanted) == 0 || wanted[0].Contains(now) {
			continue
		}
		s.mu.Lock()
		asked := slices.Equal(wanted, s.wanted) && time.Since(s.wantedAt) < max(dwell, 10*time.Second)
		if !asked {
			s.wanted, s.wantedAt = wanted, time.Now()
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
	names := s.c.resolver(n.Interface)
	best := s.c.preferred(ctx, names, n.Interface, n.Host, now)
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

// preferredServers returns what is preferred for the host, in order.
func (c *Controller) preferredServers(iface, host string) []netip.Prefix {
	var wanted []netip.Prefix
	for _, s := range c.config.Policy.Servers {
		if policy.Match(s.Host, strings.ToLower(host)) {
			wanted = append(wanted, s.Prefer...)
		}
	}
	if i, ok := c.manager.Interface(iface); ok && i.Server != "" {
		if addr, err := netip.ParseAddr(i.Server); err == nil {
			wanted = append(wanted, netip.PrefixFrom(addr, addr.BitLen()))
		}
	}
	return wanted
}
