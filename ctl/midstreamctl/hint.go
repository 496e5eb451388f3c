// midstreamctl hint: tells the manager what it cannot find out.
package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"midstream/core/config"
	"midstream/core/manager"
	"midstream/ctl/command"
)

const hintLong = `Tells the interface manager what it cannot find out by itself; for network managers,
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
  signal=-70            of a radio network, in dBm: for rules and triggers
  roaming=true          it changes its access point just now: likewise

With --found it is something that a program has found out, as NetworkManager's dispatcher
does: the configuration, and hints without it, go before.`

func hintCommand(e *environment) *cobra.Command {
	c := &cobra.Command{Use: "hint INTERFACE KEY=VALUE… [--expire 60s] [--host] [--found]", Short: "tell what the interface manager cannot find out", Long: hintLong, Args: cobra.ArbitraryArgs}
	var expire command.Span
	c.Flags().Var(&expire, "expire", "forget it after so long, such as 500ms, 60s, 2h, or 60 for seconds (default: never)")
	host := c.Flags().Bool("host", false, "for all users of the host; only as root")
	found := c.Flags().Bool("found", false, "what the configuration or another hint says goes before")
	completes(c, nil, e.completeHint)
	return e.command(c, "0; 1 it could not be left, or there is no such interface; 2 wrong usage or configuration",
		func(c *cobra.Command, args []string) int { return hint(e, c, args, expire.Duration, *host, *found) })
}

func hint(e *environment, c *cobra.Command, words []string, expire time.Duration, host, found bool) int {
	usage := func(format string, args ...any) int { return e.wrong(c, format, args...) }
	if len(words) < 2 {
		return usage("name an interface and at least one KEY=VALUE")
	}
	name := words[0]
	if !config.ValidInterfaceName(name) {
		return usage("%q is no name for a network interface", name)
	}
	if expire < 0 {
		return usage("--expire: %v is in the past", expire)
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
		hints = append(hints, manager.Hint{Key: key, Value: value, At: now, Expires: expiry(expire), Found: found})
	}
	if slices.ContainsFunc(hints, func(h manager.Hint) bool { return h.Value != "" }) {
		if err := e.exists(name); err != nil {
			e.complain("hint: %v", err)
			return exitFailed
		}
	}
	store, err := e.store(host)
	if err == nil {
		err = store.Update(func(d *manager.Directives) error {
			for _, h := range hints {
				if h.Value == "" {
					d.Hints[name] = slices.DeleteFunc(slices.Clone(d.Hints[name]), func(o manager.Hint) bool { return o.Key == h.Key && o.Found == h.Found })
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
	return e.say(exitOK, "%s", hinted(name, hints, expire))
}

// hinted says what is noted now.
func hinted(name string, hints []manager.Hint, expire time.Duration) string {
	var noted, gone []string
	for _, h := range hints {
		if h.Value == "" {
			gone = append(gone, h.Key)
		} else {
			noted = append(noted, h.Key+"="+h.Value)
		}
	}
	var parts []string
	if len(noted) > 0 {
		until := "until it is taken back"
		if expire > 0 {
			until = "for " + expire.String()
		}
		parts = append(parts, "noted "+strings.Join(noted, ", ")+" "+until)
	}
	if len(gone) > 0 {
		parts = append(parts, "forgot "+strings.Join(gone, ", "))
	}
	return name + ": " + strings.Join(parts, "; ")
}
