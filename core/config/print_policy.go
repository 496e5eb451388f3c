// Shows the sections [policy] and [sessions], and what [interfaces.X] says for them.
package config

import (
	"fmt"
	"strconv"
	"strings"
)

func (p Policy) print(b *strings.Builder) {
	fmt.Fprintf(b, "\n[policy]\nprefer = [%s]\nproviders = [%s]\ndwell = %q\nin_need = %t\nleave_tunnel = %t\nperformance = %t\n",
		quoteTexts(p.Prefer), quoteTexts(p.Providers), p.Dwell.String(), p.InNeed, p.LeaveTunnel, p.Performance)
	for _, r := range p.Rules {
		fmt.Fprintf(b, "\n[[policy.rules]]\nwhen = %q\n", r.When.String())
		if r.Use != "" {
			fmt.Fprintf(b, "use = %q\n", r.Use)
		} else {
			fmt.Fprintf(b, "avoid = %q\n", r.Avoid)
		}
	}
	for _, s := range p.Servers {
		fmt.Fprintf(b, "\n[[policy.servers]]\nhost = %q\nprefer = [%s]\n", s.Host, quoteAll(s.Prefer))
	}
}

func (s Sessions) print(b *strings.Builder) {
	list := func(name string, all []Criterion) {
		for _, c := range all {
			fmt.Fprintf(b, "\n[[sessions.%s]]\n%s\n", name, strings.ReplaceAll(c.String(), ", ", "\n"))
		}
	}
	list("include", s.Include)
	list("exclude", s.Exclude)
}

// printTraits writes what is set beside resolver and proxy.
func (i Interface) printTraits(b *strings.Builder) {
	if i.Kind != "" {
		fmt.Fprintf(b, "kind = %q\n", i.Kind)
	}
	if i.Metered != nil {
		fmt.Fprintf(b, "metered = %t\n", *i.Metered)
	}
	if i.Cost != 0 {
		fmt.Fprintf(b, "cost = %s\n", strconv.FormatFloat(i.Cost, 'f', -1, 64))
	}
	if i.Provider != "" {
		fmt.Fprintf(b, "provider = %q\n", i.Provider)
	}
	if i.Never {
		b.WriteString("never = true\n")
	}
	if i.Cap != 0 {
		fmt.Fprintf(b, "cap = %s\n", strconv.FormatFloat(i.Cap, 'f', -1, 64))
	}
	if i.Share != 0 {
		fmt.Fprintf(b, "share = %s\n", strconv.FormatFloat(i.Share, 'f', -1, 64))
	}
}

func quoteTexts(values []string) string {
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = strconv.Quote(v)
	}
	return strings.Join(quoted, ", ")
}
