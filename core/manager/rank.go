// Which interface is better, and why.
package manager

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// criterion is one reason to prefer an interface to another. The first in which two differ decides.
type criterion struct {
	// compare is negative where a is better.
	compare func(e *Engine, a, b *Interface) int
	// moves tells whether the difference is worth moving streams for; otherwise it only decides where an
	// interface has to be chosen anyway.
	moves func(e *Engine, better, worse *Interface) bool
	// pays tells whether the difference is worth it where octets cost more there.
	pays bool
	// says why i is better, in a sentence about "it" or, by its name, another one.
	says func(e *Engine, i *Interface, it subject) string
}

func always(*Engine, *Interface, *Interface) bool { return true }
func never(*Engine, *Interface, *Interface) bool  { return false }

// subject is how a sentence speaks of an interface.
type subject struct{ it, its string }

var itself = subject{"it", "its"}

// text has {it} and {its} where the interface is spoken of.
func text(s string) func(*Engine, *Interface, subject) string {
	return func(_ *Engine, _ *Interface, n subject) string {
		return strings.NewReplacer("{it}", n.it, "{its}", n.its).Replace(s)
	}
}

// falseFirst orders what is not before what is.
func falseFirst(is func(*Interface) bool) func(*Engine, *Interface, *Interface) int {
	return func(_ *Engine, a, b *Interface) int {
		switch x, y := is(a), is(b); {
		case x == y:
			return 0
		case x:
			return 1
		}
		return -1
	}
}

var criteria = []criterion{
	{compare: falseFirst(func(i *Interface) bool { return i.Captive }), moves: always, pays: true, says: text("{it} is not behind a captive portal")},
	{compare: falseFirst(func(i *Interface) bool { return len(i.Routes) == 0 }), moves: never, says: text("{it} has a default route")},
	{compare: falseFirst(func(i *Interface) bool { return i.congested }), moves: always, says: text("{it} is not congested")},
	{compare: falseFirst(func(i *Interface) bool { return !i.Preferred }), moves: always, pays: true, says: text("a hint prefers {it}")},
	{
		compare: func(e *Engine, a, b *Interface) int {
			return place(e.config.Policy.Prefer, a.Name) - place(e.config.Policy.Prefer, b.Name)
		}, moves: always, pays: true, says: text("the policy prefers {it}"),
	},
	{
		compare: func(e *Engine, a, b *Interface) int {
			return place(e.config.Policy.Providers, a.Provider) - place(e.config.Policy.Providers, b.Provider)
		}, moves: always, pays: true,
		says: func(_ *Engine, i *Interface, n subject) string {
			return "the policy prefers " + n.its + " provider, " + i.Provider
		},
	},
	{compare: falseFirst(func(i *Interface) bool { return i.Metered }), moves: always, says: text("{it} is not metered")},
	{
		compare: func(_ *Engine, a, b *Interface) int { return cmp.Compare(a.Cost, b.Cost) }, moves: always,
		says: func(_ *Engine, i *Interface, n subject) string {
			return fmt.Sprintf("%s cost is lower (%g)", n.its, i.Cost)
		},
	},
	{compare: falseFirst(func(i *Interface) bool { return !i.Free }), moves: always, says: text("{it} is free")},
	{
		compare: func(_ *Engine, a, b *Interface) int {
			x, y := a.speed(), b.speed()
			if x == 0 || y == 0 {
				return 0
			}
			return cmp.Compare(y, x)
		},
		moves: func(e *Engine, better, worse *Interface) bool {
			told := better.Performance > 0
			return (told || e.config.Policy.Performance) && better.speed() >= 2*worse.speed()
		},
		says: func(_ *Engine, i *Interface, n subject) string {
			return fmt.Sprintf("%s is faster (%s)", n.it, bits(i.speed()))
		},
	},
	{
		compare: func(e *Engine, a, b *Interface) int { return e.flaps(a.Name) - e.flaps(b.Name) }, moves: never,
		says: text("{it} has been lost less often"),
	},
	{
		compare: func(_ *Engine, a, b *Interface) int { return cmp.Compare(a.metric(), b.metric()) }, moves: never,
		says: text("the kernel prefers {its} route"),
	},
	{compare: func(_ *Engine, a, b *Interface) int { return cmp.Compare(a.Index, b.Index) }, moves: never, says: text("{it} was there first")},
}

// place is the index of name in the list, or its length.
func place(list []string, name string) int {
	if i := slices.Index(list, name); i >= 0 {
		return i
	}
	return len(list)
}

// speed is the performance that a hint promises, else the throughput measured.
func (i *Interface) speed() float64 {
	if i.Performance > 0 {
		return i.Performance
	}
	return i.Throughput
}

// metric is the least of its default routes.
func (i *Interface) metric() int {
	least := int(^uint(0) >> 1)
	for _, r := range i.Routes {
		least = min(least, r.Metric)
	}
	return least
}

func bits(n float64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.1f Gbit/s", n/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.1f Mbit/s", n/1e6)
	}
	return fmt.Sprintf("%.0f kbit/s", n/1e3)
}

func (e *Engine) flaps(name string) int {
	if s := e.stable[name]; s != nil {
		return s.flaps(e.now())
	}
	return 0
}

// better compares two usable interfaces: negative where a is better, with the criterion that says so.
func (e *Engine) better(a, b *Interface) (int, *criterion) {
	for n := range criteria {
		if c := criteria[n].compare(e, a, b); c != 0 {
			return c, &criteria[n]
		}
	}
	return 0, nil
}

// rank sorts the interfaces and says why each stands where it does.
func (e *Engine) rank(v *view) {
	usable := func(i *Interface) bool { return i.Usable() }
	slices.SortStableFunc(v.ranked, func(a, b *Interface) int {
		x, y := usable(a), usable(b)
		switch {
		case x && !y:
			return -1
		case y && !x:
			return 1
		case !x:
			return a.Index - b.Index
		}
		c, _ := e.better(a, b)
		return c
	})
	// What rules, a person or never say comes before the criteria.
	var global Stream
	names, forbidden := e.order(v, global)
	position := map[string]int{}
	for n, name := range names {
		if _, no := forbidden[name]; !no {
			position[name] = n + 1
		}
	}
	slices.SortStableFunc(v.ranked, func(a, b *Interface) int {
		x, y := position[a.Name], position[b.Name]
		if x == 0 || y == 0 {
			return cmp.Compare(y, x)
		}
		return x - y
	})
	use, rule := e.chosen(v, global)
	for n, i := range v.ranked {
		i.Rank = position[i.Name]
		switch {
		case i.Kind == KindLoopback:
			i.Why = "not used: it is the loopback interface"
		case !i.Usable():
			i.Why = "not used: " + i.obstacle()
		case i.Rank == 0:
			i.Why = "not used: " + forbidden[i.Name]
		case i.Name == use:
			i.Why = "chosen: " + rule
		case n == 0 && (len(v.ranked) == 1 || position[v.ranked[1].Name] == 0):
			i.Why = "chosen: there is no other"
		case n == 0:
			_, c := e.better(i, v.ranked[1])
			i.Why = "chosen: " + e.reason(c, i, itself) + ", unlike " + v.ranked[1].Name
		default:
			first := v.ranked[0]
			if c, why := e.better(first, i); c < 0 && first.Name != use {
				i.Why = "not chosen: " + e.reason(why, first, subject{first.Name, first.Name + "'s"})
			} else {
				i.Why = "not chosen: " + rule
			}
		}
	}
}

func (e *Engine) reason(c *criterion, i *Interface, n subject) string {
	if c == nil {
		return "nothing tells them apart"
	}
	return c.says(e, i, n)
}

// obstacle says why the interface is not usable.
func (i *Interface) obstacle() string {
	switch {
	case !i.Up:
		return "it is down"
	case !i.Carrier:
		return "it has no carrier"
	}
	return "it has no address"
}

// chosen is the interface that a person or a rule wants for the stream, with what says so; "" if none.
func (e *Engine) chosen(v *view, s Stream) (name, why string) {
	if use := e.used(s.PID); use != "" {
		if i := v.by[use]; i != nil && i.Usable() && !i.Never {
			return use, "a person asked for " + use
		}
	}
	for n, r := range e.config.Policy.Rules {
		if r.Use == "" || !e.holds(v, n, s) {
			continue
		}
		i := v.by[r.Use]
		if i != nil && i.Usable() && e.forbidden(v, i, s) == "" {
			return r.Use, fmt.Sprintf("rule %d: %s", n+1, r.When)
		}
	}
	return "", ""
}

// holds evaluates rule n; one that speaks of a session holds for none where there is none.
func (e *Engine) holds(v *view, n int, s Stream) bool {
	when := e.config.Policy.Rules[n].When
	if !when.OfSession() {
		return when.Holds(&v.vars)
	}
	return s.ID != "" && when.Holds(v.session(s))
}

// forbidden says why the interface may not carry the stream, "" if it may.
func (e *Engine) forbidden(v *view, i *Interface, s Stream) string {
	if i.Never {
		return "the configuration says never"
	}
	for n, r := range e.config.Policy.Rules {
		if r.Avoid == i.Name && e.holds(v, n, s) {
			return fmt.Sprintf("rule %d avoids it: %s", n+1, r.When)
		}
	}
	return ""
}

// order returns the names for Order, and which of them are forbidden, with the reason.
func (e *Engine) order(v *view, s Stream) (names []string, forbidden map[string]string) {
	forbidden = map[string]string{}
	var last []string
	use, _ := e.chosen(v, s)
	if use != "" {
		// A person's word counts more than a rule's; a rule was not chosen if it is forbidden.
		names = append(names, use)
	}
	for _, i := range v.ranked {
		if i.Kind == KindLoopback || !i.Usable() || i.Name == use {
			continue
		}
		if why := e.forbidden(v, i, s); why != "" {
			forbidden[i.Name] = why
			last = append(last, i.Name)
			continue
		}
		names = append(names, i.Name)
	}
	if e.config.Policy.InNeed {
		names = append(names, last...)
	}
	return names, forbidden
}
