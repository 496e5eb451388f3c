// The names that the program's addresses came from.

package resolve

import (
	"container/list"
	"net/netip"
	"strings"
	"sync"

	"github.com/miekg/dns"
)

// CacheSize is how many addresses a Cache remembers.
const CacheSize = 1024

// Cache remembers, for the addresses most recently seen, the name that was
// asked for. The zero value is ready. Safe for concurrent use.
type Cache struct {
	mu     sync.Mutex
	byAddr map[netip.Addr]*list.Element // of seen
	recent list.List                    // of seen, the latest in front
}

type seen struct {
	addr netip.Addr
	name string
}

// Add notes that name led to addrs. A name that is not a host name, such as an
// IP literal, is not noted. A later name replaces an earlier one.
func (c *Cache) Add(name string, addrs []netip.Addr) {
	if checkName(name) != nil {
		return
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return
	}
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byAddr == nil {
		c.byAddr = make(map[netip.Addr]*list.Element)
	}
	for _, addr := range addrs {
		addr = addr.Unmap().WithZone("")
		if !addr.IsValid() {
			continue
		}
		if at, ok := c.byAddr[addr]; ok {
			at.Value = seen{addr, name}
			c.recent.MoveToFront(at)
			continue
		}
		c.byAddr[addr] = c.recent.PushFront(seen{addr, name})
		if c.recent.Len() > CacheSize {
			oldest := c.recent.Remove(c.recent.Back()).(seen)
			delete(c.byAddr, oldest.addr)
		}
	}
}

// AddMessage notes what a DNS message says that the program received, without
// the two octets that precede one on TCP. The addresses count for the name in the
// question, whatever aliases lie between. Anything but a well-formed positive
// response to one question for addresses is ignored.
func (c *Cache) AddMessage(wire []byte) {
	var m dns.Msg
	if len(wire) > dns.MaxMsgSize || m.Unpack(wire) != nil {
		return
	}
	if !m.Response || m.Rcode != dns.RcodeSuccess || m.Opcode != dns.OpcodeQuery || len(m.Question) != 1 {
		return
	}
	q := m.Question[0]
	if q.Qclass != dns.ClassINET || q.Qtype != dns.TypeA && q.Qtype != dns.TypeAAAA {
		return
	}
	if end := follow(m.Answer, q.Name, q.Qtype); len(end.addrs) > 0 {
		c.Add(q.Name, end.addrs)
	}
}

// Name returns the name that addr was last seen for, in lower case and without
// a final dot.
func (c *Cache) Name(addr netip.Addr) (string, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at, ok := c.byAddr[addr.Unmap().WithZone("")]
	if !ok {
		return "", false
	}
	c.recent.MoveToFront(at)
	return at.Value.(seen).name, true
}
