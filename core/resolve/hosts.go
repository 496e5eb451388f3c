// The hosts file, hosts(5): looked at before any name server is asked.

package resolve

import (
	"bufio"
	"net/netip"
	"os"
	"slices"
	"strings"
)

// hostsLookup returns the addresses of every line of the file that names host,
// in the file's order. A file that cannot be read names nothing. The file is
// not kept: it is read seldom, and may be large.
func hostsLookup(path, host string) []netip.Addr {
	file, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer file.Close()
	host = strings.TrimSuffix(host, ".")
	var found []netip.Addr
	lines := bufio.NewScanner(file)
	for lines.Scan() && len(found) < maxAddrs {
		line, _, _ := strings.Cut(lines.Text(), "#")
		words := strings.Fields(line)
		if len(words) < 2 || !slices.ContainsFunc(words[1:], func(w string) bool {
			return strings.EqualFold(strings.TrimSuffix(w, "."), host)
		}) {
			continue
		}
		if addr, err := netip.ParseAddr(words[0]); err == nil && !slices.Contains(found, addr.Unmap()) {
			found = append(found, addr.Unmap())
		}
	}
	return found
}
