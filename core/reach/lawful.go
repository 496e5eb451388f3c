// What may be connected to, and what costs.
package reach

import (
	"net/netip"
	"strings"

	"midstream/core/reason"
	"midstream/core/resume"
)

// unlawful says why, for a stream at that place, the destination's address must not be connected to, if it must not.
func (r *Reach) unlawful(p Place, d resume.Destination, addr netip.Addr) reason.Reason {
	if d.From.IsValid() && resume.Private(addr) && addr != d.From && addr != p.Server.Addr().Unmap() && addr != p.Peer.Addr().Unmap() {
		if name, ok := r.names.Name(addr); !ok || name != d.Host {
			return reason.Private.With(addr, d.Host)
		}
	}
	if why := r.allowed.Astray(p.Interface, d.Interface, addr); !why.None() {
		return why
	}
	return r.allowed.Unreachable(d.Interface, addr)
}

// MayFollow reports whether a redirect to the host is followed: to the name that the program asked for, or to where its own
// answer came from. What another server on another network says is no reason to ask anything of others.
func (r *Reach) MayFollow(p Place, host, own string) bool {
	host = strings.Trim(host, "[]")
	addr, err := netip.ParseAddr(host)
	return strings.EqualFold(strings.TrimSuffix(host, "."), strings.TrimSuffix(own, ".")) ||
		err == nil && (addr.Unmap() == p.Server.Addr().Unmap() || addr.Unmap() == p.Peer.Addr().Unmap())
}

// Astray says why a stream at that place must not be continued over the interface, if it must not.
func (r *Reach) Astray(p Place, iface string) reason.Reason {
	return r.allowed.Astray(p.Interface, iface, p.Server.Addr())
}

// Metered reports whether octets over the interface cost something.
func (r *Reach) Metered(iface string) bool {
	i, ok := r.interfaces.Interface(iface)
	return ok && i.Metered
}

// Dearer reports whether octets over the interface cost more than over own.
func (r *Reach) Dearer(iface, own string) bool {
	a, ok := r.interfaces.Interface(iface)
	b, _ := r.interfaces.Interface(own)
	return ok && a.Dearer(&b)
}

// Costs reports whether octets over the interface cost something, or more than over own.
func (r *Reach) Costs(iface, own string) bool { return r.Metered(iface) || r.Dearer(iface, own) }
