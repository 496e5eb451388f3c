// Which interface owns a local address: asked for every connection of the program.
package netmon

import (
	"net/netip"
	"time"
)

const (
	ownersFresh = time.Second           // how long an answer may be old where nobody follows the changes
	ownersMiss  = 50 * time.Millisecond // how often an address that is not known may cause a look
)

// Owner returns the name of the interface that owns addr, the local address of a socket; IPv4-mapped addresses count as IPv4,
// and a zone is taken at its word.
func (m *Monitor) Owner(addr netip.Addr) (name string, ok bool) {
	if addr.Zone() != "" {
		return addr.Zone(), true
	}
	if addr = addr.Unmap(); !addr.IsValid() || addr.IsUnspecified() {
		return "", false
	}
	s := m.State()
	name, ok = s.owners[addr]
	if age := time.Since(s.at); !ok && age > ownersMiss || age > ownersFresh && !m.following.Load() {
		m.Refresh()
		name, ok = m.State().owners[addr]
	}
	if !ok && addr.Is4() && addr.IsLoopback() {
		return "lo", true // all of 127.0.0.0/8 is local, though only 127.0.0.1 is listed
	}
	return name, ok
}
