// Which candidate is tried next: the preferred one, then the families in turn
// (RFC 8305 section 4, with RFC 6724's rules cut down to what decides here:
// avoid a family the device has no address for, otherwise prefer IPv6).

package dial

import (
	"net/netip"

	"midstream/core/netif"
)

const maxCandidates = 64 // further ones are dropped: a name with more is no server but an attack

// queue holds the candidates not tried yet.
type queue struct {
	preferred netip.AddrPort
	seen      map[netip.AddrPort]bool
	here      bool // the preferred address is waiting
	patient   bool // its arrival is still worth waiting for
	v6, v4    []netip.AddrPort
	next6     bool // the family whose turn it is
}

func newQueue(preferred netip.AddrPort, six bool) *queue {
	return &queue{preferred: plain(preferred), seen: make(map[netip.AddrPort]bool), patient: preferred.IsValid(), next6: six}
}

func plain(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

// add takes in candidates, in order of preference within each family.
func (q *queue) add(candidates []netip.AddrPort) {
	for _, c := range candidates {
		c = plain(c)
		if q.seen[c] || len(q.seen) == maxCandidates {
			continue
		}
		q.seen[c] = true
		switch {
		case c == q.preferred:
			q.here = true
		case c.Addr().Is4():
			q.v4 = append(q.v4, c)
		default:
			q.v6 = append(q.v6, c)
		}
	}
}

func (q *queue) empty() bool { return !q.here && len(q.v4)+len(q.v6) == 0 }

// take removes and returns the candidate to try next; the queue is not empty.
func (q *queue) take() (c netip.AddrPort) {
	switch {
	case q.here:
		q.here = false
		c = q.preferred
	case len(q.v4) == 0, q.next6 && len(q.v6) > 0:
		c, q.v6 = q.v6[0], q.v6[1:]
	default:
		c, q.v4 = q.v4[0], q.v4[1:]
	}
	q.next6 = c.Addr().Is4()
	return c
}

// awaits reports whether the preferred address may still be on its way: it has
// not been seen, nor any other of its family, which would have come with it.
func (q *queue) awaits() bool {
	if !q.patient {
		return false
	}
	for c := range q.seen {
		if c == q.preferred || c.Addr().Is4() == q.preferred.Addr().Is4() {
			return false
		}
	}
	return true
}

// hasIPv6 reports whether the device, or without one any interface but the
// loopback, has an IPv6 address of global scope.
func hasIPv6(device string) bool {
	all, err := netif.List()
	if err != nil {
		return false
	}
	for _, i := range all {
		if len(i.V6) > 0 && (i.Name == device || device == "" && !i.Loopback) {
			return true
		}
	}
	return false
}
