// Shows a configuration, without its passwords.
package config

import (
	"encoding/json"
	"fmt"
	"sort"
	"strconv"
	"strings"
)

// String writes the effective configuration as TOML, defaults included, passwords as stars.
func (c *Config) String() string {
	var b strings.Builder
	m := c.Migration
	fmt.Fprintf(&b, "[migration]\nsingle = %t\nlook_ahead = %s\nproof = %q\nmeta4 = %q\nskip_limit = %d\ntimeout = %q\n",
		m.Single, strconv.FormatFloat(m.LookAhead, 'f', -1, 64), string(m.Proof), string(m.Meta4), m.SkipLimit, m.Timeout.String())
	for _, p := range m.Pairs {
		fmt.Fprintf(&b, "\n[[migration.pairs]]\nfrom = %q\nto = %q\nsingle = %t\n", p.From, p.To, p.Single)
	}
	c.Policy.print(&b)
	c.Sessions.print(&b)
	b.WriteString("\n" + c.TLS.String())
	b.WriteString("\n" + c.Reach.String())
	b.WriteString("\n" + c.Metrics.String() + "\n" + c.Notify.String())
	b.WriteString("\n" + c.Failover.String())
	b.WriteString("\n" + c.Aggregate.String())
	b.WriteString("\n" + c.Live.String())
	printMirrors(&b, c.Mirrors)
	names := make([]string, 0, len(c.Interfaces))
	for name := range c.Interfaces {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		i := c.Interfaces[name]
		fmt.Fprintf(&b, "\n[%s]\ndns = [%s]\nproxy = %q\nno_proxy = [%s]\n",
			path{"interfaces", name}, quoteAll(i.DNS), i.Proxy.String(), quoteAll(i.NoProxy))
		i.printTraits(&b)
	}
	return b.String()
}

func quoteAll[T fmt.Stringer](values []T) string {
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = strconv.Quote(v.String())
	}
	return strings.Join(quoted, ", ")
}

// MarshalJSON writes the keys as the file has them, the time-out as text.
func (m Migration) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Single    bool    `json:"single"`
		LookAhead float64 `json:"look_ahead"`
		Proof     Proof   `json:"proof"`
		Meta4     Meta4   `json:"meta4"`
		SkipLimit int64   `json:"skip_limit"`
		Timeout   string  `json:"timeout"`
		Pairs     []Pair  `json:"pairs"`
	}{m.Single, m.LookAhead, m.Proof, m.Meta4, m.SkipLimit, m.Timeout.String(), append([]Pair{}, m.Pairs...)})
}
