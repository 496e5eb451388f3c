// Turns a parsed TOML document into a Config. A section is a function, a key is a case in it: what is
// not there is an unknown key.
package config

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"
)

// decoder keeps the error that stands first in the file. Every method returns something harmless
// after an error, so that one pass finds them all, whatever order the library's maps have.
type decoder struct {
	file  string
	lines *lines
	first *Error
}

func (d *decoder) fail(p path, problem, remedy string) {
	e := &Error{File: d.file, Line: d.lines.line(p), Key: p.String(), Problem: problem, Remedy: remedy}
	if d.first == nil || e.Line < d.first.Line || e.Line == d.first.Line && e.Key < d.first.Key {
		d.first = e
	}
}

// keys maps the keys that a table may have to what reads each.
type keys map[string]func(p path, value any)

// table reads a table that may have only the known keys.
func (d *decoder) table(p path, value any, known keys) {
	t, ok := value.(map[string]any)
	if !ok {
		d.mistyped(p, value, "a table")
		return
	}
	for key, value := range t {
		if read := known[key]; read != nil {
			read(p.with(key), value)
			continue
		}
		names := make([]string, 0, len(known))
		for name := range known {
			names = append(names, name)
		}
		sort.Strings(names)
		remedy := "known here: " + strings.Join(names, ", ")
		if _, nested := value.(map[string]any); nested && len(p) == 2 && p[0] == "interfaces" {
			remedy += fmt.Sprintf(" (an interface name with a dot is quoted: [interfaces.%q])", p[1]+"."+key)
		}
		d.fail(p.with(key), "unknown key", remedy)
	}
}

func (d *decoder) mistyped(p path, value any, wanted string) {
	is := "something else"
	switch value.(type) {
	case string:
		is = "a text"
	case bool:
		is = "a boolean"
	case int64:
		is = "an integer"
	case float64:
		is = "a number with a fraction"
	case map[string]any:
		is = "a table"
	case []any, []map[string]any:
		is = "an array"
	case time.Time:
		is = "a date"
	}
	d.fail(p, "wrong type: this is "+is, "write "+wanted)
}

func (d *decoder) boolean(p path, value any) bool {
	b, ok := value.(bool)
	if !ok {
		d.mistyped(p, value, "true or false, without quotes")
	}
	return b
}

func (d *decoder) text(p path, value any, wanted string) (string, bool) {
	s, ok := value.(string)
	if !ok {
		d.mistyped(p, value, wanted)
	}
	return s, ok
}

// number reads one with or without a fraction.
func (d *decoder) number(p path, value any, least, most float64, wanted string) float64 {
	f, ok := value.(float64)
	if i, whole := value.(int64); whole {
		f, ok = float64(i), true
	}
	switch {
	case !ok:
		d.mistyped(p, value, wanted)
	case !(f >= least && f <= most): // NaN too
		d.fail(p, strconv.FormatFloat(f, 'g', -1, 64)+" is out of range", "write "+wanted)
	}
	return f
}

func (d *decoder) duration(p path, value any, least, most time.Duration, bounds string) time.Duration {
	wanted := "a duration from " + bounds
	text, ok := d.text(p, value, wanted)
	if !ok {
		return least
	}
	t, err := time.ParseDuration(text)
	if err != nil {
		d.fail(p, strconv.Quote(text)+" is no duration", "write "+wanted)
	} else if t < least || t > most {
		d.fail(p, strconv.Quote(text)+" is out of range", "write "+wanted)
	}
	return t
}

// choice reads one of several words; the problem with any other is that it is not one of those.
func choice[T ~string](d *decoder, p path, value any, problem string, words ...T) T {
	quoted := make([]string, len(words))
	for i, word := range words {
		quoted[i] = strconv.Quote(string(word))
	}
	last := len(quoted) - 1
	wanted := strings.Join(quoted[:last], ", ") + " or " + quoted[last]
	text, ok := d.text(p, value, wanted)
	if ok && !slices.Contains(words, T(text)) {
		d.fail(p, strconv.Quote(text)+" is "+problem, "write "+wanted)
	}
	return T(text)
}

func (d *decoder) array(p path, value any, wanted string) []any {
	switch a := value.(type) {
	case []any:
		return a
	case []map[string]any:
		all := make([]any, len(a))
		for i := range a {
			all[i] = a[i]
		}
		return all
	}
	d.mistyped(p, value, wanted)
	return nil
}

func (d *decoder) config(document map[string]any) *Config {
	c := Default()
	d.table(nil, document, keys{
		"interfaces": func(p path, v any) { c.Interfaces = d.interfaces(p, v) },
		"migration":  func(p path, v any) { d.migration(p, v, &c.Migration) },
		"policy":     func(p path, v any) { d.policy(p, v, &c.Policy) },
		"sessions":   func(p path, v any) { d.sessions(p, v, &c.Sessions) },
		"failover":   func(p path, v any) { d.failover(p, v, &c.Failover) },
		"tls":        func(p path, v any) { d.tls(p, v, &c.TLS) },
		"reach":      func(p path, v any) { d.reach(p, v, &c.Reach) },
		"aggregate":  func(p path, v any) { d.aggregate(p, v, &c.Aggregate) },
		"live":       func(p path, v any) { d.live(p, v, &c.Live) },
		"mirrors":    func(p path, v any) { c.Mirrors = d.mirrors(p, v) },
		"metrics":    func(p path, v any) { d.metrics(p, v, &c.Metrics) },
		"notify":     func(p path, v any) { d.notify(p, v, &c.Notify) },
	})
	return c
}

func (d *decoder) interfaces(p path, value any) map[string]Interface {
	all := map[string]Interface{}
	t, ok := value.(map[string]any)
	if !ok {
		d.mistyped(p, value, "a table for each interface: [interfaces.NAME]")
	}
	for name, value := range t {
		d.interfaceName(p.with(name), name)
		i := Interface{DNS: []netip.AddrPort{}, NoProxy: []HostPattern{}}
		d.table(p.with(name), value, keys{
			"dns":      func(p path, v any) { i.DNS = d.dns(p, v) },
			"proxy":    func(p path, v any) { i.Proxy = d.proxy(p, v) },
			"no_proxy": func(p path, v any) { i.NoProxy = d.noProxy(p, v) },
			"kind": func(p path, v any) {
				i.Kind = choice(d, p, v, "no kind of interface", "ethernet", "wifi", "wwan", "tunnel", "other")
			},
			"metered": func(p path, v any) {
				metered := d.boolean(p, v)
				i.Metered = &metered
			},
			"cost":     func(p path, v any) { i.Cost = d.number(p, v, 0, math.MaxFloat64, "a number, 0 or more") },
			"provider": func(p path, v any) { i.Provider, _ = d.text(p, v, "the provider's name") },
			"never":    func(p path, v any) { i.Never = d.boolean(p, v) },
			"cap":      func(p path, v any) { i.Cap = d.number(p, v, 0, math.MaxFloat64, "bit/s, 0 for no bound") },
			"share":    func(p path, v any) { i.Share = d.number(p, v, 0, 1, "0 to 1, 0 for no bound") },
		})
		all[name] = i
	}
	return all
}

// ValidInterfaceName tells whether the kernel could give an interface this name: dev_valid_name() in
// net/core/dev.c.
func ValidInterfaceName(name string) bool {
	return name != "" && len(name) <= 15 && name != "." && name != ".." &&
		!strings.ContainsAny(name, "/: \t\n\v\f\r\x00")
}

func (d *decoder) interfaceName(p path, name string) {
	if !ValidInterfaceName(name) {
		d.fail(p, strconv.Quote(name)+" is no name for a network interface", "use one that `ip link` shows (at most 15 octets, no slash, colon or space)")
	}
}

// named reads the name of an interface.
func (d *decoder) named(to *string) func(path, any) {
	return func(p path, v any) {
		text, ok := d.text(p, v, "the name of an interface")
		if *to = text; ok {
			d.interfaceName(p, text)
		}
	}
}

func (d *decoder) dns(p path, value any) []netip.AddrPort {
	servers := []netip.AddrPort{}
	const wanted = `addresses, each with a port where it is not 53: ["10.0.0.1", "[fd00::1]:5353"]`
	for i, value := range d.array(p, value, wanted) {
		text, ok := d.text(p.with(index(i)), value, wanted)
		if !ok {
			continue
		}
		server, err := netip.ParseAddrPort(text)
		if err != nil {
			var addr netip.Addr
			addr, err = netip.ParseAddr(text)
			server = netip.AddrPortFrom(addr, 53)
		}
		if a := server.Addr(); err != nil || server.Port() == 0 || a.IsUnspecified() || a.IsMulticast() {
			d.fail(p.with(index(i)), strconv.Quote(text)+" is no address of a resolver", "write "+wanted)
			continue
		}
		servers = append(servers, server)
	}
	return servers
}

func (d *decoder) proxy(p path, value any) Proxy {
	const wanted = `"http://[user:password@]host:port", "environment", or "" for none`
	text, ok := d.text(p, value, wanted)
	if !ok {
		return Proxy{}
	}
	proxy, err := parseProxy(text)
	if err != nil {
		d.fail(p, err.Error(), "write "+wanted)
	}
	return proxy
}

func (d *decoder) noProxy(p path, value any) []HostPattern {
	patterns := []HostPattern{}
	const wanted = `host names, addresses and prefixes: ["example.org", "10.0.0.0/8"]`
	for i, value := range d.array(p, value, wanted) {
		text, ok := d.text(p.with(index(i)), value, wanted)
		if !ok {
			continue
		}
		pattern, err := parseHostPattern(text)
		if err != nil {
			d.fail(p.with(index(i)), strconv.Quote(text)+" is "+err.Error(), "write "+wanted)
			continue
		}
		patterns = append(patterns, pattern)
	}
	return patterns
}

func (d *decoder) migration(p path, value any, m *Migration) {
	d.table(p, value, keys{
		"single":     func(p path, v any) { m.Single = d.boolean(p, v) },
		"look_ahead": func(p path, v any) { m.LookAhead = d.number(p, v, MinLookAhead, MaxLookAhead, "a number from 1 to 16") },
		"meta4": func(p path, v any) {
			m.Meta4 = choice(d, p, v, "none of these", Meta4Offered, Meta4Always, Meta4Never)
		},
		"proof": func(p path, v any) {
			m.Proof = choice(d, p, v, "no kind of proof", ProofOverlap, ProofStrict, ProofWhole, ProofTrust)
		},
		"skip_limit": func(p path, v any) { m.SkipLimit = d.size(p, v) },
		"timeout":    func(p path, v any) { m.Timeout = d.duration(p, v, MinTimeout, MaxTimeout, `"100ms" to "10m"`) },
		"pairs":      func(p path, v any) { m.Pairs = d.pairs(p, v) },
	})
}

func (d *decoder) size(p path, value any) int64 {
	const wanted = `a size as "64MB" or "16 MiB", or a number of octets`
	var n int64
	var ok bool
	switch v := value.(type) {
	case int64:
		n, ok = v, v >= 0
	case string:
		n, ok = parseSize(v)
	default:
		d.mistyped(p, value, wanted)
		return 0
	}
	if !ok {
		d.fail(p, fmt.Sprintf("%#v is no size", value), "write "+wanted)
	}
	return n
}

// parseSize reads a whole number with an optional unit, decimal (kB = 1000) or binary (KiB = 1024).
func parseSize(text string) (int64, bool) {
	digits := strings.TrimRight(text, "kKMGTiB ")
	unit, known := map[string]int64{
		"": 1, "B": 1, "kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12,
		"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40,
	}[strings.TrimSpace(text[len(digits):])]
	n, err := strconv.ParseUint(digits, 10, 63)
	if !known || err != nil || int64(n) > (1<<63-1)/unit {
		return 0, false
	}
	return int64(n) * unit, true
}

func (d *decoder) pairs(p path, value any) []Pair {
	pairs := []Pair{}
	first := map[[2]string]int{}
	for i, value := range d.array(p, value, "a table for each pair: [[migration.pairs]]") {
		at := p.with(index(i))
		pair := Pair{Single: true}
		d.table(at, value, keys{
			"from":   d.named(&pair.From),
			"to":     d.named(&pair.To),
			"single": func(p path, v any) { pair.Single = d.boolean(p, v) },
		})
		if t, ok := value.(map[string]any); ok && (t["from"] == nil || t["to"] == nil) {
			d.fail(at, "a pair needs both from and to", `write from = "wlan0", to = "wwan0"`)
		}
		key := [2]string{pair.From, pair.To}
		if line, twice := first[key]; twice {
			d.fail(at, fmt.Sprintf("the same pair as at line %d", line), "remove one of them")
		} else {
			first[key] = d.lines.line(at)
		}
		pairs = append(pairs, pair)
	}
	return pairs
}
