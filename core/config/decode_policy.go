// Reads the sections [policy] and [sessions], and what [interfaces.X] says for them.
package config

import (
	"net/netip"
	"strconv"
	"strings"

	"midstream/core/policy"
)

func (d *decoder) policy(p path, value any, to *Policy) {
	d.table(p, value, keys{
		"prefer":       func(p path, v any) { to.Prefer = d.interfaceNames(p, v) },
		"providers":    func(p path, v any) { to.Providers = d.texts(p, v, `names of providers: ["campus", "telco"]`) },
		"dwell":        func(p path, v any) { to.Dwell = d.duration(p, v, 0, MaxDwell, `"0s" to "24h"`) },
		"in_need":      func(p path, v any) { to.InNeed = d.boolean(p, v) },
		"leave_tunnel": func(p path, v any) { to.LeaveTunnel = d.boolean(p, v) },
		"performance":  func(p path, v any) { to.Performance = d.boolean(p, v) },
		"rules":        func(p path, v any) { to.Rules = d.rules(p, v) },
		"servers":      func(p path, v any) { to.Servers = d.servers(p, v) },
	})
}

func (d *decoder) texts(p path, value any, wanted string) []string {
	all := []string{}
	for i, v := range d.array(p, value, wanted) {
		if s, ok := d.text(p.with(index(i)), v, wanted); ok {
			all = append(all, s)
		}
	}
	return all
}

func (d *decoder) interfaceNames(p path, value any) []string {
	all := d.texts(p, value, `names of interfaces, the best first: ["eth0", "wlan0"]`)
	for i, name := range all {
		d.interfaceName(p.with(index(i)), name)
	}
	return all
}

func (d *decoder) rules(p path, value any) []Rule {
	rules := []Rule{}
	for i, value := range d.array(p, value, "a table for each rule: [[policy.rules]]") {
		at := p.with(index(i))
		var r Rule
		d.table(at, value, keys{
			"when":  func(p path, v any) { r.When = d.condition(p, v) },
			"use":   d.named(&r.Use),
			"avoid": d.named(&r.Avoid),
		})
		if t, ok := value.(map[string]any); ok {
			switch {
			case t["when"] == nil:
				d.fail(at, "a rule needs a condition", `write when = 'wlan0.rtt > 300'`)
			case (t["use"] == nil) == (t["avoid"] == nil):
				d.fail(at, "a rule needs either use or avoid", `write use = "wwan0", or avoid = "wwan0"`)
			}
		}
		rules = append(rules, r)
	}
	return rules
}

func (d *decoder) condition(p path, value any) *policy.Condition {
	source, ok := d.text(p, value, `a condition: 'wlan0.rtt > 300'`)
	if !ok {
		return nil
	}
	c, err := policy.Compile(source)
	if err != nil {
		d.fail(p, err.Error(), `write a condition as 'wlan0.congestion > 0.8 || wlan0.rtt > 300'`)
	}
	return c
}

func (d *decoder) servers(p path, value any) []Server {
	servers := []Server{}
	for i, value := range d.array(p, value, "a table for each: [[policy.servers]]") {
		at := p.with(index(i))
		s := Server{Prefer: []netip.Prefix{}}
		d.table(at, value, keys{
			"host":   func(p path, v any) { s.Host = d.hostGlob(p, v) },
			"prefer": func(p path, v any) { s.Prefer = d.prefixes(p, v) },
		})
		if t, ok := value.(map[string]any); ok && (t["host"] == nil || t["prefer"] == nil) {
			d.fail(at, "this needs both host and prefer", `write host = "*.example.org", prefer = ["192.0.2.0/24"]`)
		}
		servers = append(servers, s)
	}
	return servers
}

func (d *decoder) hostGlob(p path, value any) string {
	const wanted = `a host, with * for any part of it: "*.example.org"`
	text, ok := d.text(p, value, wanted)
	if ok && (text == "" || len(text) > 253 || strings.ContainsAny(text, "/ :@") && !strings.Contains(text, "::")) {
		d.fail(p, strconv.Quote(text)+" is no host", "write "+wanted)
	}
	return strings.ToLower(strings.TrimSuffix(text, "."))
}

func (d *decoder) prefixes(p path, value any) []netip.Prefix {
	const wanted = `addresses and prefixes, the best first: ["10.77.2.80", "192.0.2.0/24"]`
	all := []netip.Prefix{}
	for i, text := range d.texts(p, value, wanted) {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			var addr netip.Addr
			addr, err = netip.ParseAddr(text)
			prefix = netip.PrefixFrom(addr, addr.BitLen())
		}
		if err != nil || prefix.Addr().Zone() != "" {
			d.fail(p.with(index(i)), strconv.Quote(text)+" is neither an address nor a prefix", "write "+wanted)
			continue
		}
		all = append(all, prefix.Masked())
	}
	return all
}

func (d *decoder) sessions(p path, value any, to *Sessions) {
	d.table(p, value, keys{
		"include": func(p path, v any) { to.Include = d.criteria(p, v) },
		"exclude": func(p path, v any) { to.Exclude = d.criteria(p, v) },
	})
}

func (d *decoder) criteria(p path, value any) []Criterion {
	all := []Criterion{}
	for i, value := range d.array(p, value, "a table for each: [[sessions.exclude]]") {
		at := p.with(index(i))
		var c Criterion
		d.table(at, value, keys{
			"command": func(p path, v any) { c.Command, _ = d.text(p, v, `a program's name: "apt*"`) },
			"host":    func(p path, v any) { c.Host = d.hostGlob(p, v) },
			"port":    func(p path, v any) { c.Port = d.port(p, v) },
			"smaller": func(p path, v any) { c.Smaller = d.size(p, v) },
			"larger":  func(p path, v any) { c.Larger = d.size(p, v) },
		})
		if c == (Criterion{}) {
			d.fail(at, "this matches every session", "set command, host, port, smaller or larger")
		}
		all = append(all, c)
	}
	return all
}

func (d *decoder) port(p path, value any) uint16 {
	const wanted = "a number from 1 to 65535"
	n, ok := value.(int64)
	switch {
	case !ok:
		d.mistyped(p, value, wanted)
	case n < 1 || n > 65535:
		d.fail(p, strconv.FormatInt(n, 10)+" is no port", "write "+wanted)
	}
	return uint16(n)
}
