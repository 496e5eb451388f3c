// What an interface of the phone has carried, from /proc/net/dev: it shows the namespace of the reader, whichever /sys is mounted.

package lab

import (
	"fmt"
	"os"
	"strings"
)

// Counters are those of an interface, headers included.
type Counters struct {
	Received, Sent               int64 // octets
	ReceivedPackets, SentPackets int64
}

// Counters reads what the phone's interface has carried since it was made.
func (n *Network) Counters() Counters {
	n.lab.t.Helper()
	text, err := os.ReadFile("/proc/net/dev")
	n.must(err)
	c, err := parseCounters(string(text), n.Name)
	n.must(err)
	return c
}

func parseCounters(text, name string) (Counters, error) {
	for _, line := range strings.Split(text, "\n") {
		before, after, found := strings.Cut(line, ":")
		if !found || strings.TrimSpace(before) != name {
			continue
		}
		var c Counters
		var skip int64
		_, err := fmt.Sscan(after, &c.Received, &c.ReceivedPackets, &skip, &skip, &skip, &skip, &skip, &skip, &c.Sent, &c.SentPackets)
		return c, err
	}
	return Counters{}, fmt.Errorf("no interface %s in /proc/net/dev", name)
}
