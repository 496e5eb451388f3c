// The DNS server of a network, and what it was asked.

package lab

import (
	"fmt"
	"net/netip"
	"regexp"
	"sort"
	"strings"
	"time"
)

// DNS answers, at the network's resolver addresses, for the names given with the addresses given; every other
// name does not exist. extra are further options of dnsmasq(8), such as --cname=www.example,download.example.
func (n *Network) DNS(names map[string][]string, extra ...string) *Server {
	n.lab.t.Helper()
	s := n.newServer("dnsmasq")
	var hosts strings.Builder
	for name, addresses := range names {
		for _, a := range addresses {
			fmt.Fprintf(&hosts, "%s %s\n", a, name)
		}
	}
	file := s.write("hosts", hosts.String())
	args := []string{"dnsmasq", "--no-daemon", // which also keeps it from looking for another user to be
		"--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--local=/#/", "--addn-hosts=" + file,
		"--bind-interfaces", "--listen-address=" + n.Resolver(), "--listen-address=" + n.Resolver6(),
		"--log-queries", "--log-facility=" + s.LogFile, "--local-ttl=1"}
	return s.start(netip.AddrPortFrom(netip.MustParseAddr(n.Resolver()), 53).String(), append(args, extra...)...)
}

// Query is a question that a DNS server was asked.
type Query struct {
	Type string // "A", "AAAA", …
	Name string
	From string // address
}

var queryLine = regexp.MustCompile(`query\[(\S+)\] (\S+) from (\S+)`)

// ParseQuery reads a line of dnsmasq's log; it returns false for lines that are not questions.
func ParseQuery(line string) (Query, bool) {
	m := queryLine.FindStringSubmatch(line)
	if m == nil {
		return Query{}, false
	}
	return Query{Type: m[1], Name: m[2], From: m[3]}, true
}

// Queries are the questions that a DNS server was asked so far.
func (s *Server) Queries() []Query {
	var all []Query
	for _, line := range s.lines() {
		if q, ok := ParseQuery(line); ok {
			all = append(all, q)
		}
	}
	return all
}

// Asked are the distinct names and types that the server was asked for, sorted, as "name type".
func (s *Server) Asked() []string {
	seen := map[string]bool{}
	var all []string
	for _, q := range s.Queries() {
		if key := q.Name + " " + q.Type; !seen[key] {
			seen[key] = true
			all = append(all, key)
		}
	}
	sort.Strings(all)
	return all
}

// WaitQuery returns when the server was asked for name; the test fails after limit.
func (s *Server) WaitQuery(name string, limit time.Duration) Query {
	s.Network.lab.t.Helper()
	var found Query
	s.WaitLine("question for "+name, limit, func(line string) bool {
		q, ok := ParseQuery(line)
		found = q
		return ok && q.Name == name
	})
	return found
}
