// midstreamctl hint: tells the manager what it cannot find out.
package main

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"time"

	"midstream/core/config"
	"midstream/core/manager"
)

const hintHelp = `usage: midstreamctl hint INTERFACE KEY=VALUE… [--expire 60s] [--host]

Tells the interface manager what it cannot find out by itself; for network managers,
Wi-Fi supplicants and scripts. A hint replaces the one of the same key; an empty value
takes it back.

  congestion=0.9        0 to 1; from 0.8 on the interface is left
  cost=2.5              the lower, the better
  provider=NAME         as in the policy's providers and rules
  preferred=true        before all others
  free=true             without charge: cost 0, not metered
  metered=true          paid for, or limited
  captive=true          behind a captive portal: not used for better
  performance=40M       bit/s that can be expected; k, M and G are understood
  server=ADDRESS        the server to prefer there

  --expire TIME   forget it after so long, such as 500ms, 60s, 2h (default: never)
  --host          for all users of the host; only as root

Exit status: 0; 1 it could not be left; 2 wrong usage or configuration.
`

func hint(e *environment, args []string) int {
	words, options := split(args, "expire")
	f := flag.NewFlagSet("hint", flag.ContinueOnError)
	expire := f.Duration("expire", 0, "")
	host := f.Bool("host", false, "")
	if !e.parse(f, options) {
		return exitUsage
	}
	usage := func(format string, args ...any) int {
		e.complain("hint: %s; see midstreamctl hint --help", fmt.Sprintf(format, args...))
		return exitUsage
	}
	if len(words) < 2 {
		return usage("name an interface and at least one KEY=VALUE")
	}
	name := words[0]
	if !config.ValidInterfaceName(name) {
		return usage("%q is no name for a network interface", name)
	}
	if *expire < 0 {
		return usage("--expire: %v is in the past", *expire)
	}
	now := time.Now()
	var hints []manager.Hint
	for _, word := range words[1:] {
		key, value, ok := strings.Cut(word, "=")
		if !ok {
			return usage("%q is no KEY=VALUE", word)
		}
		if err := manager.CheckHint(key, value); err != nil && (value != "" || !slices.Contains(manager.HintKeys, key)) {
			return usage("%v", err)
		}
		hints = append(hints, manager.Hint{Key: key, Value: value, At: now, Expires: expiry(*expire)})
	}
	store, err := e.store(*host)
	if err == nil {
		err = store.Update(func(d *manager.Directives) error {
			for _, h := range hints {
				if h.Value == "" {
					d.Hints[name] = slices.DeleteFunc(slices.Clone(d.Hints[name]), func(o manager.Hint) bool { return o.Key == h.Key })
				} else {
					d.Tell(name, h)
				}
			}
			if len(d.Hints) > manager.MaxHinted {
				return fmt.Errorf("there are hints on %d interfaces already", manager.MaxHinted)
			}
			return nil
		})
	}
	if err != nil {
		e.complain("hint: %v", err)
		return exitFailed
	}
	return exitOK
}
