// The name servers of the host: resolv.conf(5).

package resolve

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"

	"github.com/miekg/dns"
)

// System returns the name servers in /etc/resolv.conf; where it is missing or
// names none, those on the loopback interface.
func System() ([]netip.AddrPort, error) { return systemFrom("/etc/resolv.conf") }

func systemFrom(path string) ([]netip.AddrPort, error) {
	config, err := dns.ClientConfigFromFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("find the system's name servers: %w", err)
	}
	var servers []netip.AddrPort
	if config != nil {
		for _, s := range config.Servers {
			if addr, err := netip.ParseAddr(s); err == nil {
				servers = append(servers, netip.AddrPortFrom(addr, 53))
			}
		}
	}
	if len(servers) == 0 {
		servers = []netip.AddrPort{
			netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 53),
			netip.AddrPortFrom(netip.IPv6Loopback(), 53),
		}
	}
	return servers, nil
}
