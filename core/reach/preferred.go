// Which of a name's addresses is tried first.
package reach

import (
	"context"
	"net/netip"
	"strings"

	"midstream/core/dial"
	"midstream/core/policy"
	"midstream/core/resolve"
)

// Preferred returns the address of the host to try first over the interface, if the network there knows it: what the
// policy prefers, then what a hint does, then the one in use. The look-up is shared with the one that follows.
func (r *Reach) Preferred(ctx context.Context, names dial.Names, iface, host string, now netip.Addr) netip.Addr {
	wanted := r.PreferredServers(iface, host)
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

// PreferredServers returns what is preferred for the host, in order.
func (r *Reach) PreferredServers(iface, host string) []netip.Prefix {
	var wanted []netip.Prefix
	for _, s := range r.config.Policy.Servers {
		if policy.Match(s.Host, strings.ToLower(host)) {
			wanted = append(wanted, s.Prefer...)
		}
	}
	if i, ok := r.interfaces.Interface(iface); ok && i.Server != "" {
		if addr, err := netip.ParseAddr(i.Server); err == nil {
			wanted = append(wanted, netip.PrefixFrom(addr, addr.BitLen()))
		}
	}
	return wanted
}
