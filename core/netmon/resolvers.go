// The name servers of one link, from what systemd leaves in files: sd_link_get_dns_servers(3).

package netmon

import (
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"midstream/core/smallfile"
)

// linkFolders are systemd-resolved's and systemd-networkd's, with the key that has the servers.
var linkFolders = [2]struct{ folder, key string }{
	{"/run/systemd/resolve/netif", "SERVERS="},
	{"/run/systemd/netif/links", "DNS="},
}

// linkServers returns the name servers that systemd-resolved or systemd-networkd has for the interface with this index;
// none if they do not run, or keep their files to themselves.
func linkServers(index int) []netip.AddrPort {
	for _, f := range linkFolders {
		text, err := smallfile.Read(filepath.Join(f.folder, strconv.Itoa(index)))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			if list, ok := strings.CutPrefix(strings.TrimSpace(line), f.key); ok {
				if servers := parseServers(list); len(servers) > 0 {
					return servers
				}
			}
		}
	}
	return nil
}

// FilesStamp changes when what those files say may have changed: systemd replaces them, and nobody else tells of that.
func FilesStamp() (stamp [2]time.Time) {
	for i, f := range linkFolders {
		if info, err := os.Stat(f.folder); err == nil {
			stamp[i] = info.ModTime()
		}
	}
	return stamp
}

// parseServers reads addresses as systemd writes them: address, [address]:port or address:port, then perhaps
// %interface and #name.
func parseServers(list string) []netip.AddrPort {
	var servers []netip.AddrPort
	for _, word := range strings.Fields(list) {
		word, _, _ = strings.Cut(word, "#")
		server, err := netip.ParseAddrPort(word)
		if err != nil {
			var addr netip.Addr
			if addr, err = netip.ParseAddr(word); err != nil {
				continue
			}
			server = netip.AddrPortFrom(addr, 53)
		}
		servers = append(servers, server)
	}
	return servers
}
