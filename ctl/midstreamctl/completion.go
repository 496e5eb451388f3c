// What the shell offers at TAB: interfaces, processes, sessions, hints, triggers. cobra asks for it by the hidden command __complete.
package main

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"midstream/core/control"
	"midstream/core/display"
	"midstream/core/manager"
	"midstream/core/netif"
	"midstream/ctl/client"
	"midstream/ctl/command"
)

// completer offers words for the one that is being typed; args are those before it. After a tab a word may be described.
type completer func(args []string) []string

// completes says what is offered for the values of a command's options, and for its arguments.
func completes(c *cobra.Command, flags map[string]completer, args completer) {
	const only = cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
	for name, offer := range flags {
		c.RegisterFlagCompletionFunc(name, func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			return offer(args), only
		})
	}
	if args != nil {
		c.ValidArgsFunction = func(_ *cobra.Command, before []string, begun string) ([]string, cobra.ShellCompDirective) {
			words, directive := args(before), only
			for _, w := range words {
				if strings.HasSuffix(w, "=") {
					directive |= cobra.ShellCompDirectiveNoSpace
				}
			}
			// KEY=VALUE is one word: its values are offered when the key is there.
			return slices.DeleteFunc(words, func(w string) bool { return !strings.HasPrefix(w, begun) }), directive
		}
	}
}

// completeInterfaces offers the host's interfaces, as the only argument.
func (e *environment) completeInterfaces(args []string) (all []string) {
	if len(args) > 0 {
		return nil
	}
	links, _, err := netif.Survey()
	if err != nil {
		return nil
	}
	for _, l := range links {
		if !l.Offered() {
			continue
		}
		state := l.Kind
		if err := l.Usable(); err != nil {
			state += ", not usable now"
		} else if addresses := append(slices.Clone(l.V4), l.V6...); len(addresses) > 0 {
			state += ", " + addresses[0].String()
		}
		all = append(all, l.Name+"\t"+state)
	}
	return all
}

func (e *environment) completeUse(args []string) []string {
	if len(args) > 0 {
		return nil
	}
	return append(e.completeInterfaces(args), manager.Auto+"\tthe best one again")
}

// seen are the sessions of all processes, as far as they answer at once.
func (e *environment) seen() (all []control.Session) {
	list, err := client.Processes()
	if err != nil {
		return nil
	}
	for _, a := range client.AskAll[[]control.Session](e.ctx, list, 300*time.Millisecond, control.MethodSessions, nil) {
		all = append(all, a.Result...)
	}
	return all
}

func (e *environment) completeSessions([]string) (all []string) {
	for _, s := range e.seen() {
		all = append(all, display.Line(s.ID)+"\t"+describe(s.URL, s.Interface))
	}
	return all
}

func (e *environment) completePIDs([]string) (all []string) {
	told := map[int]bool{}
	for _, s := range e.seen() {
		if !told[s.PID] {
			all = append(all, fmt.Sprint(s.PID)+"\t"+describe(s.Command, s.Interface))
		}
		told[s.PID] = true
	}
	return all
}

// describe is what stands beside an offered word: in one line, and not long.
func describe(what, where string) string {
	return display.Shorten(display.Line(what), 50) + " over " + display.Line(where)
}

// completeHosts offers the hosts that are being downloaded from.
func (e *environment) completeHosts(args []string) (all []string) {
	for _, s := range e.seen() {
		if host := hostOf(s.URL); host != "" && len(args) == 0 && !slices.Contains(all, host) {
			all = append(all, host)
		}
	}
	return all
}

// hostOf is the host of a URL, "" if there is none that could be typed.
func hostOf(url string) string {
	_, rest, _ := strings.Cut(url, "://")
	host, _, _ := strings.Cut(rest, "/")
	if at := strings.LastIndexByte(host, ':'); at > strings.LastIndexByte(host, ']') {
		host = host[:at]
	}
	if host != display.Line(host) || strings.ContainsAny(host, " \t'\"`$\\;&|<>(){}*?!#") {
		return ""
	}
	return strings.Trim(host, "[]")
}

func (e *environment) completeHint(args []string) (all []string) {
	if len(args) == 0 {
		return e.completeInterfaces(nil)
	}
	for _, key := range manager.HintKeys {
		if slices.ContainsFunc(args[1:], func(a string) bool { return strings.HasPrefix(a, key+"=") }) {
			continue
		}
		switch key {
		case "preferred", "free", "metered", "captive", "roaming":
			all = append(all, key+"=true", key+"=false")
		case "server":
			for _, s := range e.seen() {
				if at, err := netip.ParseAddrPort(s.Server); err == nil && !slices.Contains(all, key+"="+at.Addr().String()) {
					all = append(all, key+"="+at.Addr().String())
				}
			}
			all = append(all, key+"=")
		default:
			all = append(all, key+"=")
		}
	}
	return all
}

func (e *environment) completeWhen(args []string) (all []string) {
	switch len(args) {
	case 0:
		links, _, _ := netif.Survey()
		for _, l := range links {
			if l.Offered() {
				all = append(all, l.Name+".rtt > 300", l.Name+".congestion > 0.8", "!"+l.Name+".usable")
			}
		}
		for _, host := range e.completeHosts(nil) {
			all = append(all, `session.host == "`+host+`"`)
		}
		return append(all, "session.length > 1_000_000_000")
	case 1:
		return []string{"use"}
	case 2:
		return e.completeUse(nil)
	}
	return nil
}

func (e *environment) completeWhens([]string) (all []string) {
	store, err := e.store(false)
	if err != nil {
		return nil
	}
	d, err := store.Load()
	if err != nil {
		return nil
	}
	for _, w := range d.Whens {
		all = append(all, w.ID+"\t"+display.Line(w.Condition))
	}
	return all
}

func completionCommand(e *environment) *cobra.Command {
	return &cobra.Command{
		Use: "completion bash|zsh|fish", Short: "print what makes a shell complete these commands", Long: `Prints a script for the shell. Packages and "make install" put it where the shell
finds it; otherwise:

  eval "$(midstreamctl completion bash)"     in ~/.bashrc
  midstreamctl completion zsh >~/.zfunc/_midstreamctl
  midstreamctl completion fish >~/.config/fish/completions/midstreamctl.fish`,
		ValidArgs: []string{"bash", "zsh", "fish"}, Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 1 {
				switch args[0] {
				case "bash":
					return c.Root().GenBashCompletionV2(e.out, true)
				case "zsh":
					return c.Root().GenZshCompletion(e.out)
				case "fish":
					return c.Root().GenFishCompletion(e.out, true)
				}
			}
			return &command.Wrong{Command: c, Text: "name one of bash, zsh and fish"}
		},
	}
}
