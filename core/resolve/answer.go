// What an answer section says about a name: the end of its aliases, and the
// addresses there (RFC 1034 section 3.6.2).

package resolve

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

type chainEnd struct {
	name  string // where the aliases lead
	ttl   uint32 // seconds: the shortest of the records passed
	addrs []netip.Addr
}

// follow walks from name along the CNAME records and collects the addresses of
// type qtype at the end. Records of any other owner are not believed.
func follow(answer []dns.RR, name string, qtype uint16) chainEnd {
	end := chainEnd{name: name, ttl: 1<<31 - 1}
	for range maxChain {
		alias := slices.IndexFunc(answer, func(rr dns.RR) bool {
			_, ok := rr.(*dns.CNAME)
			return ok && owned(rr, end.name)
		})
		if alias < 0 {
			break
		}
		end.name = answer[alias].(*dns.CNAME).Target
		end.age(answer[alias])
	}
	for _, rr := range answer {
		if rr.Header().Rrtype != qtype || !owned(rr, end.name) {
			continue
		}
		addr, ok := recordAddr(rr)
		if ok && len(end.addrs) < maxAddrs && !slices.Contains(end.addrs, addr) {
			end.addrs = append(end.addrs, addr)
			end.age(rr)
		}
	}
	return end
}

func (e *chainEnd) age(rr dns.RR) {
	ttl := rr.Header().Ttl
	if ttl > 1<<31-1 {
		ttl = 0 // RFC 2181 section 8
	}
	e.ttl = min(e.ttl, ttl)
}

// recordAddr returns the address in an A or AAAA record, if a connection to it
// makes sense: "this host" (0.0.0.0, ::), multicast and IPv4-mapped ones do not.
func recordAddr(rr dns.RR) (addr netip.Addr, ok bool) {
	switch rr := rr.(type) {
	case *dns.A:
		addr, ok = netip.AddrFromSlice(rr.A.To4())
	case *dns.AAAA:
		addr, ok = netip.AddrFromSlice(rr.AAAA)
		ok = ok && addr.Is6() && !addr.Is4In6()
	}
	return addr, ok && !addr.IsUnspecified() && !addr.IsMulticast()
}

func owned(rr dns.RR, name string) bool {
	h := rr.Header()
	return h.Class == dns.ClassINET && equalNames(h.Name, name)
}

// hasSOA tells the lack of data from an answer that was left unfinished (RFC 2308 section 2.2).
func hasSOA(authority []dns.RR) bool {
	return slices.ContainsFunc(authority, func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeSOA })
}

func equalNames(a, b string) bool { return strings.EqualFold(a, b) }
